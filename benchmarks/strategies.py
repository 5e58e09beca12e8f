"""What each fine-tuning strategy reaches, with few rows of each class and with all of them.

Every run is Thaw's own, on one rank in a process of its own, and evaluated on the same test rows.
Results are kept in a JSON lines file, so that a table that takes hours can be made in pieces. Time
is that of the processor, which is that of the clock on one idle core with OMP_NUM_THREADS=1.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from launcher.text_demonstration import model_folder

FEW_ROWS = 10
SEEDS = 5
MICROBATCH_ROWS = 16
STRATEGIES: dict[str, dict[str, Any]] = {
    "head": {"freezing": {"mode": "head"}, "rate": 1e-2},
    "partial, last 2": {"freezing": {"last": 2}, "rate": 3e-4},
    "full": {"freezing": {"mode": "full"}, "rate": 3e-4},
    "ulmfit": {"freezing": {"preset": "ulmfit", "head_learning_rate": 1e-2}, "rate": 1e-3},
    "lp_ft": {"freezing": {"preset": "lp_ft", "head_learning_rate": 1e-2}, "rate": 3e-4},
    "lora": {"freezing": {"lora": {"rank": 8}, "head_learning_rate": 1e-2}, "rate": 2e-3},
}
"""The rate is the peak of a linear schedule, where the preset brings none of its own."""
EPOCHS = {"few": 10, "all": 7}
"""Gradual unfreezing of six blocks behind the head needs seven."""


def few_rows(train: Path, label: str, seed: int, folder: Path) -> Path:
    """Write as many rows of each class, drawn with the seed."""
    with train.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    by_class: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_class[row[label]].append(row)
    source = random.Random(seed)
    chosen = [row for name in sorted(by_class) for row in source.sample(by_class[name], FEW_ROWS)]
    path = folder / "few.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    return path


def recipe_values(arguments: argparse.Namespace, rows: str, name: str, seed: int) -> dict[str, Any]:
    """Write the recipe of a run but its name, storage and training rows."""
    return {
        "model": {"path": str(model_folder())},
        "task": {"kind": "text_classification", "label": arguments.label},
        "freezing": STRATEGIES[name]["freezing"],
        "optimizer": {"learning_rate": STRATEGIES[name]["rate"], "weight_decay": 0.01},
        "batch": {"lanes": 1, "microbatch_size": MICROBATCH_ROWS, "max_length": 128},
        "epochs": EPOCHS[rows],
        "tracking": {"log_every_steps": 50, "tensorboard": False},
        "checkpoint": {"every_epochs": None},
        "seed": seed,
    }


def run(arguments: argparse.Namespace, rows: str, name: str, seed: int) -> dict[str, Any]:
    """Run one strategy on one rank in this process."""
    from configs.schema import Recipe
    from trainers.data.preparation import prepare
    from trainers.finetune import finetune
    from trainers.group import join_group
    from trainers.place import Place

    with tempfile.TemporaryDirectory(prefix="thaw-strategies-") as temporary:
        folder, train = Path(temporary), arguments.train
        if rows == "few":
            train = few_rows(arguments.train, arguments.label, seed, folder)
        values = recipe_values(arguments, rows, name, seed)
        data = {"train": str(train), "test": str(arguments.test)}
        own = {"name": "strategy", "storage": str(folder / "runs"), "data": data}
        recipe = Recipe.model_validate(values | own)
        made = prepare(recipe, recipe.storage)
        place = Place(0, 1, 0, str(folder / "runs" / "strategy"), made.data_dir, 1, "cpu")
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
        join_group(place, "127.0.0.1", 0)
        # A recording of another run would make this one look faster than it is.
        tempfile.tempdir = temporary
        # Of the processor: the same whatever else the machine does.
        started = time.process_time()
        ended = finetune(recipe, place, lambda record: None, lambda: False)
        seconds = time.process_time() - started
    reached = {key: ended.metrics[key] for key in ("accuracy", "macro_f1")}
    which = {"rows": rows, "epochs": EPOCHS[rows], "strategy": name, "seed": seed}
    return {**which, **reached, "seconds": seconds}


def spread(values: list[float]) -> str:
    """Write mean and standard deviation."""
    found = f"{mean(values):.4f}"
    return f"{found} +- {stdev(values):.4f}" if len(values) > 1 else found


def print_table(results: list[dict[str, Any]]) -> None:
    """Print a line for each strategy and number of rows."""
    heads = ("rows", "epochs", "strategy", "seeds", "accuracy", "macro F1", "CPU s")
    print("{:<6}{:>6}  {:<18}{:>6}{:>20}{:>20}{:>10}".format(*heads))
    for rows in EPOCHS:
        for name in STRATEGIES:
            found = [r for r in results if (r["rows"], r["strategy"]) == (rows, name)]
            if found:
                columns = [spread([r[key] for r in found]) for key in ("accuracy", "macro_f1")]
                seconds = mean(r["seconds"] for r in found)
                print(
                    f"{rows:<6}{EPOCHS[rows]:>6}  {name:<18}{len(found):>6}"
                    f"{columns[0]:>20}{columns[1]:>20}{seconds:>10,.0f}"
                )


def main() -> None:
    """Run what is not in the results file yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--label", default="category")
    parser.add_argument("--results", type=Path, default=Path("strategies.jsonl"))
    parser.add_argument("--rows", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        rows, name, seed = arguments.alone
        print(json.dumps(run(arguments, rows, name, int(seed))))
        return
    results = []
    if arguments.results.exists():
        lines = arguments.results.read_text().split("\n")[:-1]
        results = [r for r in map(json.loads, lines) if r["epochs"] == EPOCHS[r["rows"]]]
    done = {(r["rows"], r["strategy"], r["seed"]) for r in results}
    for rows in arguments.rows:
        for seed in range(SEEDS if rows == "few" else 1):
            for name in arguments.strategies:
                if (rows, name, seed) in done:
                    continue
                command = [sys.executable, "-m", "benchmarks.strategies", *sys.argv[1:]]
                one = [*command, "--alone", rows, name, str(seed)]
                out = subprocess.run(one, stdout=subprocess.PIPE, text=True, check=True).stdout
                results.append(json.loads(out.splitlines()[-1]))
                with arguments.results.open("a") as stream:
                    stream.write(json.dumps(results[-1]) + "\n")
    print_table(results)


if __name__ == "__main__":
    main()
