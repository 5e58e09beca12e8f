"""Time from a worker's death to the next step: Thaw against a plain Ray script with FailureConfig.

Both run on one local cluster of two nodes, in turns, with the same model, rows, steps between
checkpoints and number of workers. In each turn one of the two workers is ended with signal 9; the
job is ended after the next step.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks.launch import (
    PLAIN,
    Job,
    build_environment,
    demo_rows,
    run_command,
    thaw_recipe,
)
from cluster.local import start_local_cluster, stop_local_cluster
from launcher.text_demonstration import model_folder

LIMIT_S = 300.0
POLL_S = 0.01
SAVE_EVERY = 10
KILL_AT = 14
"""Step after which a worker is killed: the checkpoint of step 10 is there."""
Step = tuple[float, str]
"""When a step was done, and what tells this try of the job from the next."""


def thaw_steps(folder: Path) -> list[Step]:
    """Read the steps of a run."""
    records = folder / "metrics.jsonl"
    if not records.exists():
        return []
    lines = [json.loads(line) for line in records.read_text().split("\n")[:-1]]
    return [(r["time"], str(r["attempt"])) for r in lines if r["kind"] == "step"]


def plain_steps(log: Path) -> list[Step]:
    """Read the steps of the plain script."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [(float(line.split()[0]), line.split()[2]) for line in lines]


def seconds_to_next_step(steps: Callable[[], list[Step]], pid: Callable[[], int]) -> float:
    """Wait for some steps, kill a worker, wait for a step of the next try."""
    _wait(lambda: len(steps()) >= KILL_AT)
    killed, tried = time.time(), steps()[-1][1]
    os.kill(pid(), signal.SIGKILL)
    _wait(lambda: steps()[-1][1] != tried)
    return next(at for at, which in steps() if which != tried) - killed


def _wait(ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > limit:
            sys.exit(f"nothing happened for {LIMIT_S:.0f} s")
        time.sleep(POLL_S)


def run_thaw(job: Job, turn: int, environment: dict[str, str]) -> float:
    """Submit a recipe, kill worker 1, end the run."""
    name = f"recovery-{turn}"
    recipe = job.folder / "recovery.yaml"
    values = thaw_recipe(job, name, job.folder / "runs")
    values["checkpoint"] = {"every_steps": SAVE_EVERY}
    values["epochs"] = 1000
    recipe.write_text(json.dumps(values))
    run_command(["thaw", "submit", "--detach", str(recipe)], environment)
    run = job.folder / "runs" / name
    worker = run / "logs" / "a01" / "rank-1.json"
    try:
        return seconds_to_next_step(
            lambda: thaw_steps(run), lambda: int(json.loads(worker.read_text())["pid"])
        )
    finally:
        run_command(["thaw", "stop", name, "--storage", str(job.folder / "runs")], environment)


def run_plain(job: Job, turn: int, environment: dict[str, str]) -> float:
    """Submit the plain script, kill worker 1, end the job."""
    log = job.folder / f"steps-{turn}"
    options = {
        "model": job.model,
        "train": job.train,
        "test": job.test,
        "text": job.text,
        "label": job.label,
        "max-steps": job.max_steps,
        "storage": job.folder / "plain",
        "steps-file": log,
        "save-every": SAVE_EVERY,
        "max-failures": 3,
    }
    script = [str(PLAIN), *(part for k, v in options.items() for part in (f"--{k}", str(v)))]
    words = ["job", "submit", "--submission-id", f"plain-{turn}", "--no-wait", "--"]
    run_command(["ray", *words, sys.executable, *script], environment)
    worker = log.with_name(f"{log.name}.rank-1")
    try:
        return seconds_to_next_step(lambda: plain_steps(log), lambda: int(worker.read_text()))
    finally:
        with suppress(subprocess.TimeoutExpired):
            run_command(["ray", "job", "stop", f"plain-{turn}"], environment)


def main() -> None:
    """Start the cluster, take turns, print the table, end the cluster."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="counted turns")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="thaw-recovery-"))
    home = folder / "home"
    train, test = demo_rows(folder)
    model = model_folder().absolute()
    job = Job(model, train, test, "text", "label", 100_000, folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is ended then too
    sides = {"plain": run_plain, "thaw": run_thaw}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    try:
        environment = build_environment(start_local_cluster(2, home=home), home)
        for turn in range(options.runs):
            for side, run in sides.items():
                seconds[side].append(run(job, turn, environment))
                print(f"turn {turn}  {side} {seconds[side][-1]:.1f} s", file=sys.stderr, flush=True)
    finally:
        stop_local_cluster(home)
        shutil.rmtree(folder, ignore_errors=True)
    theirs, ours = median(seconds["plain"]), median(seconds["thaw"])
    print(f"{'seconds from a death to the next step':<40}{'plain':>8}{'thaw':>8}{'ratio':>8}")
    print(f"{f'median of {options.runs}':<40}{theirs:>8.1f}{ours:>8.1f}{ours / theirs:>8.2f}")


if __name__ == "__main__":
    main()
