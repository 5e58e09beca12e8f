"""Kill whatever carries a run, again and again, and compare what it ends with bit by bit.

Two runs of one recipe on a local cluster of three nodes: nothing happens to the first; of the
second, processes picked at random are ended with signal 9 at random moments. Who lost its driver is
resumed as a person would. The table says what each kill cost.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from safetensors.torch import load_file

from cluster.local import LocalCluster, add_node, start_local_cluster, stop_local_cluster
from cluster.nodes import HEAD_HOST
from configs.records import split_lines
from launcher.client import Thaw
from tests.tiny import make_csv, make_model_folder

VICTIMS = ("worker", "save", "raylet", "controller", "driver", "supervisor")
RESUMED = ("driver", "supervisor")
STEPS_PER_EPOCH = 100
LIMIT_S = 240.0
POLL_S = 0.005
HEAD_WORD = f"--node_ip_address={HEAD_HOST} "


@dataclass(frozen=True)
class Kill:
    """One process that was ended, and what that cost."""

    victim: str
    step: int
    """Last step that the run had reported."""
    seconds: float
    """To the next step that it reported."""
    repeated: int
    """Steps that it took again."""


@dataclass
class Scene:
    """A run with all that carries it."""

    cluster: LocalCluster
    home: Path
    thaw: Thaw
    folder: Path
    """The run directory."""
    inode: int = 0
    read: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    newest: dict[str, Any] = field(default_factory=lambda: {"step": 0, "attempt": 0})

    def steps(self) -> list[dict[str, Any]]:
        """Give the step records so far."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            with path.open("rb") as stream:
                inode = os.fstat(stream.fileno()).st_ino
                if inode != self.inode:
                    # An attempt writes the file anew, without the steps that it takes again.
                    self.inode, self.read, self.records = inode, 0, []
                stream.seek(self.read)
                new = stream.read()
            whole = new[: new.rfind(b"\n") + 1]
            self.read += len(whole)
            self.records += [json.loads(line) for line in split_lines(whole.decode())]
        return [record for record in self.records if record["kind"] == "step"]

    def last_step(self) -> dict[str, Any]:
        """Give the record of the last step, also when an attempt has just taken back all steps."""
        self.newest = (self.steps() or [self.newest])[-1]
        return self.newest

    def state(self) -> str:
        """Say how the run stands."""
        return str(json.loads((self.folder / "run.json").read_text())["state"])

    def workers(self) -> list[dict[str, Any]]:
        """Give what each worker of the newest attempt said of itself, by rank."""
        logs = self.folder / "logs" / f"a{self.last_step()['attempt']:02d}"
        return [json.loads(path.read_text()) for path in sorted(logs.glob("rank-*.json"))]

    def processes(self) -> Iterator[tuple[psutil.Process, str]]:
        """Yield the processes of the cluster, but no shell, with their command lines."""
        for pid in self.cluster.pids:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                        if child.name() != "sh":
                            yield child, " ".join(child.cmdline())


def find_victim(scene: Scene, victim: str, source: random.Random) -> psutil.Process | None:
    """Find the process to kill; None where there is none at this moment."""
    workers = scene.workers()
    if victim in ("worker", "save"):
        with suppress(psutil.NoSuchProcess, IndexError):
            return psutil.Process(source.choice(workers)["pid"])
        return None
    words = {
        # Of nodes that carry a worker; the head's node carries the cluster, too.
        "raylet": {f"--node_ip_address={each['host']} " for each in workers} - {HEAD_WORD},
        "controller": {"TrainController"},
        "driver": {"cluster.driver finetune"},
        "supervisor": {"JobSupervisor"},
    }[victim]
    named = [each for each, line in scene.processes() if any(word in line for word in words)]
    return max(named, key=lambda process: process.create_time(), default=None)


def wait_for(what: str, ready: Callable[[], bool]) -> None:
    """Wait until something holds, not for ever."""
    limit = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > limit:
            sys.exit(f"{what}: nothing after {LIMIT_S:.0f} s")
        time.sleep(POLL_S)


def strike(scene: Scene, victim: str, source: random.Random) -> Kill | None:
    """Let the run take some steps, kill one process, wait for the next step of another attempt."""
    before = scene.last_step()
    aim = before["step"] + source.randint(0, 25)
    wait_for("a step", lambda: scene.last_step()["step"] >= aim or scene.state() == "succeeded")
    time.sleep(source.random() * 0.1)
    if victim == "save":
        wait_for("a commit", lambda: is_saving(scene.folder) or scene.state() == "succeeded")
    process = find_victim(scene, victim, source)
    if process is None or scene.state() == "succeeded":
        return None
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)
    killed = time.time()
    last = scene.last_step()
    if victim in RESUMED:
        wait_for("the end of the driver", lambda: find_victim(scene, "driver", source) is None)
        scene.thaw.resume(scene.folder.name)
    with ThreadPoolExecutor(1) as threads:
        # A node joins meanwhile, so that the run, once it goes on, is soon struck again.
        join = add_node if victim == "raylet" else lambda cluster, _: cluster
        joined = threads.submit(join, scene.cluster, scene.home)
        reached = wait_for_attempt(scene, last, victim)
        scene.cluster = joined.result()
    after = [step for step in scene.steps() if step["attempt"] > last["attempt"]]
    if not after:
        print(f"nothing came of the end of the {victim}", file=sys.stderr, flush=True)
        return None
    repeated = reached + 1 - after[0]["step"]
    return Kill(victim, last["step"], after[0]["time"] - killed, repeated)


def wait_for_attempt(scene: Scene, last: dict[str, Any], victim: str) -> int:
    """Wait for a step of another attempt; gives the last step that the one before it reported."""
    reached = last["step"]

    def is_there() -> bool:
        nonlocal reached
        step = scene.last_step()
        if step["attempt"] == last["attempt"]:
            reached = max(reached, step["step"])  # the next attempt first takes some out again
        return step["attempt"] > last["attempt"] or scene.state() == "succeeded"

    wait_for(f"a step after the {victim} died", is_there)
    return reached


def is_saving(folder: Path) -> bool:
    """Say whether there is a commit without its manifest."""
    commits = (folder / "checkpoints").glob("step-*")
    return any(not (commit / "MANIFEST.json").exists() for commit in commits)


def recipe_values(folder: Path, name: str, max_steps: int) -> dict[str, Any]:
    """Give a recipe over a tiny model that commits every ten steps."""
    return {
        "name": name,
        "storage": str(folder / "runs"),
        "model": {"path": str(folder / "model")},
        "task": {"kind": "text_classification"},
        "data": {"train": str(folder / "train.csv"), "test": str(folder / "test.csv")},
        "freezing": {"prefix_cache": "off"},
        "batch": {"lanes": 4, "microbatch_size": 4, "max_length": 32},
        "epochs": -(-max_steps // STEPS_PER_EPOCH),
        "max_steps": max_steps,
        "zero": {"stage": 2},
        "checkpoint": {"every_steps": 10, "every_minutes": None},
        "tracking": {"log_every_steps": 1, "tensorboard": False},
        "cluster": {"num_workers": 2, "max_failures": 1000},
    }


def run_to_its_end(scene: Scene, values: dict[str, Any]) -> None:
    """Submit a recipe and wait until its run has succeeded."""
    scene.thaw.wait(scene.thaw.submit(values))
    if scene.state() != "succeeded":
        sys.exit(f"{values['name']} has {scene.state()}")


def compare(disturbed: Scene, quiet: Scene) -> list[str]:
    """Say what differs between the two runs."""
    ours, theirs = (
        load_file(scene.folder / "export" / "model.safetensors") for scene in (disturbed, quiet)
    )
    wrong = [f"weights of {name} differ" for name in theirs if not ours[name].equal(theirs[name])]
    losses = [{s["step"]: s["loss"] for s in scene.steps()} for scene in (disturbed, quiet)]
    wrong += [f"loss of step {s} differs" for s in losses[1] if losses[0].get(s) != losses[1][s]]
    keys = ("epoch", "rows", "id_sum", "ok")
    ledgers = [
        {tuple(r[key] for key in keys) for r in scene.records if r["kind"] == "ledger"}
        for scene in (disturbed, quiet)
    ]
    return wrong if ledgers[0] == ledgers[1] else [*wrong, "the ledgers differ"]


def report(kills: list[Kill], wrong: list[str]) -> None:
    """Print the table and what the run ended with."""
    print(f"{'kill':>4}  {'victim':<12}{'at step':>8}{'seconds':>10}{'repeated':>10}")
    for number, kill in enumerate(kills, 1):
        print(
            f"{number:>4}  {kill.victim:<12}{kill.step:>8}{kill.seconds:>10.1f}{kill.repeated:>10}"
        )
    print(f"\n{'victim':<12}{'kills':>6}{'median seconds':>16}{'most repeated':>15}")
    for victim in VICTIMS:
        own = [kill for kill in kills if kill.victim == victim]
        if own:
            seconds = median(kill.seconds for kill in own)
            most = max(kill.repeated for kill in own)
            print(f"{victim:<12}{len(own):>6}{seconds:>16.1f}{most:>15}")
    print("\nweights, losses, ledger:", "; ".join(wrong[:5]) or "bit-identical")


def torment(scene: Scene, values: dict[str, Any], options: argparse.Namespace) -> list[Kill]:
    """Submit a recipe and kill as often as was asked for; returns when its run has ended."""
    source = random.Random(options.seed)
    scene.thaw.submit(values)
    wait_for("the first step", lambda: bool(scene.steps()))
    kills: list[Kill] = []
    while len(kills) < options.kills and scene.state() != "succeeded":
        # Each victim comes up equally often, in a random order.
        round_ = random.Random(options.seed + len(kills) // len(VICTIMS))
        victim = round_.sample(VICTIMS, len(VICTIMS))[len(kills) % len(VICTIMS)]
        kill = strike(scene, victim, source)
        if kill is not None:
            kills.append(kill)
            print(kill, file=sys.stderr, flush=True)
    wait_for("the end of the run", lambda: scene.state() not in ("preparing", "running", "queued"))
    return kills


def main() -> None:
    """Start the cluster, make both runs, print the table; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="thaw-chaos-"))
    home = folder / "home"
    os.environ["THAW_HOME"] = str(home)
    make_model_folder(folder / "model", layers=2)
    make_csv(folder / "train.csv", rows=STEPS_PER_EPOCH * 16)
    make_csv(folder / "test.csv", rows=40, seed=1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is ended then too
    try:
        cluster = start_local_cluster(3, 1, home=home)
        thaw = Thaw(cluster.address)
        quiet, tormented = (
            Scene(cluster, home, thaw, folder / "runs" / name) for name in ("quiet", "tormented")
        )
        max_steps = 200 + 50 * options.kills  # thirteen of a kill's own, and some that pass by
        run_to_its_end(quiet, recipe_values(folder, "quiet", max_steps))
        kills = torment(tormented, recipe_values(folder, "tormented", max_steps), options)
        wrong = compare(tormented, quiet)
        wrong += [] if len(kills) == options.kills else [f"only {len(kills)} kills"]
    finally:
        stop_local_cluster(home)
    report(kills, wrong)
    if wrong:
        print(f"what the runs left lies in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
