"""Time from the command to the first optimizer step: `thaw submit` against a plain Ray script.

Both run on one local cluster of two nodes that stays up, in turns, with the same model, rows and
number of steps. The first turn of each warms the caches and is not counted.
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
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cluster.local import LocalCluster, start_local_cluster, stop_local_cluster
from launcher.docstrings import write_docstrings
from launcher.text_demonstration import model_folder

LIMIT_S = 600
PLAIN = Path(__file__).parent / "plain_ray_deepspeed.py"


@dataclass(frozen=True)
class Job:
    """What both sides fine-tune."""

    model: Path
    train: Path
    test: Path
    text: str
    label: str
    max_steps: int
    folder: Path
    """Where runs, stamps and the local cluster's state are kept."""


@dataclass(frozen=True)
class Times:
    """Seconds from the start of the command."""

    first_step: float
    returned: float


def run_thaw(job: Job, turn: int, environment: dict[str, str], *, fresh_data: bool) -> Times:
    """Submit the recipe and read the time of its first step from the run directory."""
    storage = job.folder / (f"runs-{turn}" if fresh_data else "runs")
    recipe = job.folder / "launch.yaml"
    recipe.write_text(json.dumps(thaw_recipe(job, f"launch-{turn}", storage)))
    start = time.time()
    run_command(["thaw", "submit", str(recipe)], environment)
    returned = time.time() - start
    lines = (storage / f"launch-{turn}" / "metrics.jsonl").read_text().split("\n")[:-1]
    first = next(record for record in map(json.loads, lines) if record["kind"] == "step")
    assert first["step"] == 1
    return Times(first["time"] - start, returned)


def thaw_recipe(job: Job, name: str, storage: Path) -> dict[str, object]:
    """Give the recipe of one run; JSON is YAML."""
    return {
        "name": name,
        "storage": str(storage),
        "model": {"path": str(job.model)},
        "task": {"kind": "text_classification", "text": job.text, "label": job.label},
        "data": {"train": str(job.train), "test": str(job.test)},
        "optimizer": {"learning_rate": 2e-4},
        "schedule": {"name": "constant"},
        "batch": {"lanes": 8, "microbatch_size": 8, "max_length": 128},
        "max_steps": job.max_steps,
        "tracking": {"log_every_steps": 1},
        "cluster": {"num_workers": 2},
    }


def run_plain(job: Job, turn: int, environment: dict[str, str]) -> Times:
    """Submit the plain script and read the time of its first step."""
    stamp = job.folder / f"stamp-{turn}"
    options = {
        "model": job.model,
        "train": job.train,
        "test": job.test,
        "text": job.text,
        "label": job.label,
        "max-steps": job.max_steps,
        "storage": job.folder / "plain",
        "steps-file": stamp,
    }
    script = [str(PLAIN), *(part for k, v in options.items() for part in (f"--{k}", str(v)))]
    start = time.time()
    run_command(["ray", "job", "submit", "--", sys.executable, *script], environment)
    returned = time.time() - start
    return Times(float(stamp.read_text().split()[0]) - start, returned)


def run_command(words: list[str], environment: dict[str, str]) -> None:
    """Run an installed command to its end; show its output where it fails."""
    program, *arguments = words
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def build_environment(cluster: LocalCluster, home: Path) -> dict[str, str]:
    """Give both commands the same cluster, token and threads."""
    return {
        **os.environ,
        "THAW_HOME": str(home),
        "RAY_ADDRESS": cluster.address,
        "RAY_API_SERVER_ADDRESS": cluster.address,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": cluster.token_path,
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def measure(job: Job, cluster: LocalCluster, home: Path, options: argparse.Namespace) -> None:
    """Run the two sides in turns and print the table."""
    environment = build_environment(cluster, home)
    plain, thaw = [], []
    for turn in range(options.runs + 1):
        plain.append(run_plain(job, turn, environment))
        thaw.append(run_thaw(job, turn, environment, fresh_data=options.fresh_data))
        print(f"turn {turn}  plain {plain[-1]}  thaw {thaw[-1]}", file=sys.stderr, flush=True)
    print(f"{'seconds until':<24}{'plain':>8}{'thaw':>8}{'ratio':>8}")
    for what, name in (("the first step", "first_step"), ("the command returns", "returned")):
        theirs, ours = (median(getattr(t, name) for t in times[1:]) for times in (plain, thaw))
        print(f"{what:<24}{theirs:>8.2f}{ours:>8.2f}{ours / theirs:>8.2f}")


def main() -> None:
    """Start the cluster, measure, end the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="counted turns")
    parser.add_argument("--model", type=Path, help="model folder; the demo's without it")
    parser.add_argument("--train", type=Path, help="CSV or JSON lines; the demo's without it")
    parser.add_argument("--test", type=Path, help="CSV or JSON lines, with --train")
    parser.add_argument("--text", default="text", help="column with the text")
    parser.add_argument("--label", default="label", help="column with the label")
    parser.add_argument("--max-steps", type=int, default=20)
    parser.add_argument("--fresh-data", action="store_true", help="prepare the data in every turn")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="thaw-launch-"))
    home = folder / "home"
    train, test = (options.train, options.test) if options.train else demo_rows(folder)
    job = Job(
        model=(options.model or model_folder()).absolute(),
        train=train.absolute(),
        test=test.absolute(),
        text=options.text,
        label=options.label,
        max_steps=options.max_steps,
        folder=folder,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is ended then too
    try:
        cluster = start_local_cluster(2, home=home)
        measure(job, cluster, home, options)
    finally:
        stop_local_cluster(home)
        shutil.rmtree(folder, ignore_errors=True)


def demo_rows(folder: Path) -> tuple[Path, Path]:
    """Write the demo's rows, every fifth into the test file."""
    lines = write_docstrings(folder).read_text().splitlines(keepends=True)
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    train.write_text("".join(line for number, line in enumerate(lines) if number % 5))
    test.write_text("".join(lines[::5]))
    return train, test


if __name__ == "__main__":
    main()
