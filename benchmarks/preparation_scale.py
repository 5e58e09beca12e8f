"""What preparing five million rows costs one process: seconds and peak memory, by kind of work."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from configs.schema import Recipe
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import Runner, prepare_plan, run_here

BLOCK_ROWS = 100_000
WORDS = 2_000
MIB = 2**20
KIB = 1024
PAUSE_S = 0.02


@dataclass(frozen=True)
class Cost:
    """What one preparation cost."""

    rows: int
    kept: int
    input_mib: float
    num_buckets: int
    seconds: dict[str, float]
    """By kind of work."""
    before_mib: float
    """Memory of the process when it began, with all its imports."""
    peak_mib: float
    """Most memory of the process, maps of files not counted."""
    peak_with_maps_mib: float
    """The same with those pages of mapped files that happened to be in memory."""


def write_rows(path: Path, num_rows: int) -> None:
    """Write a csv file of texts of 4 to 16 words with ten labels, one row in twenty twice."""
    source = np.random.Generator(np.random.PCG64(0))
    words = np.array([f"word{number}" for number in range(WORDS)])
    with path.open("w") as stream:
        stream.write("text,label\n")
        for start in range(0, num_rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, num_rows - start)
            fresh = count - count // 20
            ends = np.cumsum(source.integers(4, 17, fresh))
            drawn = words[source.integers(0, WORDS, int(ends[-1]))]
            labels = source.integers(0, 10, fresh).tolist()
            lines = [
                f"{' '.join(text)},label-{label}\n"
                for text, label in zip(np.split(drawn, ends[:-1]), labels, strict=True)
            ]
            stream.writelines([*lines, *lines[: count - fresh]])


def measure(num_rows: int, folder: Path, *, near_duplicates: bool = False) -> Cost:
    """Prepare rows in a process of its own, below the folder; gives what it cost."""
    from tests.tiny import make_model_folder

    make_model_folder(folder / "model")
    write_rows(folder / "train.csv", num_rows)
    cleaning = {"near_duplicates": {}} if near_duplicates else {}
    recipe = Recipe.model_validate(
        {
            "name": "scale",
            "model": {"path": str(folder / "model")},
            "task": {"kind": "text_classification"},
            "data": {
                "train": str(folder / "train.csv"),
                "validation": "5%",
                "test": "5%",
                "cleaning": cleaning,
                "split": {"by": "stratified"},
            },
            "batch": {"max_length": 32},
        }
    )
    command = [sys.executable, "-m", "benchmarks.preparation_scale", "--recipe", "-"]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [*command, "--store", str(folder / "store")],
        input=recipe.model_dump_json().encode(),
        stdout=subprocess.PIPE,
        check=True,
        env=environment,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _memory(key: str) -> float:
    """Give a figure of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * KIB / MIB


def _prepare(recipe: Recipe, store: str) -> Cost:
    from trainers.tasks import functions_of

    functions_of(recipe.task).load_processor(recipe.model)
    return cost_of(plan_preparation(recipe, store), run_here())


def cost_of(plan: Plan, run: Runner) -> Cost:
    """Carry a plan out in this process and give what it cost."""
    before = peak = _memory("RssAnon")
    ended, began = threading.Event(), time.perf_counter()
    marks: list[tuple[str, float]] = []

    def watch() -> None:
        nonlocal peak
        while not ended.wait(PAUSE_S):
            peak = max(peak, _memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    made = prepare_plan(plan, run, lambda name, _: marks.append((name, time.perf_counter())))
    marks.append(("", time.perf_counter()))
    ended.set()
    watcher.join()
    seconds: dict[str, float] = {}
    last = began
    for name, at in marks:
        seconds[name or "publishing"] = seconds.get(name or "publishing", 0.0) + at - last
        last = at
    return Cost(
        rows=made.manifest.report.rows_in,
        kept=sum(info.rows for info in made.manifest.splits.values()),
        input_mib=plan.num_bytes / MIB,
        num_buckets=plan.num_buckets,
        seconds={name: round(value, 1) for name, value in seconds.items()},
        before_mib=before,
        peak_mib=peak,
        peak_with_maps_mib=_memory("VmHWM"),
    )


def show(cost: Cost) -> None:
    """Print one preparation."""
    total = sum(cost.seconds.values())
    print(f"{cost.rows:,} rows, {cost.input_mib:,.0f} MiB of csv, {cost.num_buckets} buckets")
    print(f"{cost.kept:,} rows kept in {total:,.0f} s, {cost.rows / total:,.0f} rows/s")
    for name, seconds in cost.seconds.items():
        print(f"  {name:<30}{seconds:>8.1f} s")
    print(f"memory at the start {cost.before_mib:>17,.0f} MiB")
    print(f"peak memory {cost.peak_mib:>25,.0f} MiB")
    print(f"with pages of mapped files {cost.peak_with_maps_mib:>10,.0f} MiB")


def main() -> None:
    """Print what a preparation costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--near-duplicates", action="store_true")
    parser.add_argument("--recipe", help=argparse.SUPPRESS)
    parser.add_argument("--store", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.recipe is not None:
        cost = _prepare(Recipe.model_validate_json(sys.stdin.read()), arguments.store)
        print(json.dumps(asdict(cost)))
        return
    with tempfile.TemporaryDirectory(prefix="thaw-preparation-scale-") as name:
        show(measure(arguments.rows, Path(name), near_duplicates=arguments.near_duplicates))


if __name__ == "__main__":
    main()
