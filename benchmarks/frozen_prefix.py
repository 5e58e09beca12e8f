"""What freezing saves: Thaw against Hugging Face Trainer with the same layers frozen.

Samples per second are training rows over the time of training: Thaw's from the first row that it
records, or the first step, to its last step; Trainer's that of train() alone. With
`--baseline-epochs` Trainer trains fewer epochs, which does not change its speed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from launcher.text_demonstration import model_folder

CASES: dict[str, tuple[dict[str, Any], int, float]] = {
    "head": ({"mode": "head"}, 10, 1e-2),
    "last": ({"mode": "partial", "last": 2}, 5, 1e-4),
    "full": ({"mode": "full"}, 2, 3e-4),
}
"""What learns, for how many epochs, at which peak rate."""
SIDES = ("thaw", "defaults", "by length")
BATCH_ROWS = 32
MAX_LENGTH = 128


def recipe_values(arguments: argparse.Namespace, case: str, folder: Path) -> dict[str, Any]:
    """Write the recipe of a case: one lane of 32 rows, what Trainer does by default."""
    freezing, epochs, rate = CASES[case]
    return {
        "name": case,
        "storage": str(folder / "runs"),
        "model": {"path": str(arguments.model)},
        "task": {"kind": "text_classification", "text": "text", "label": arguments.label},
        "data": {"train": str(arguments.train), "test": str(arguments.test)},
        "freezing": freezing,
        "optimizer": {"learning_rate": rate, "weight_decay": 0.0},
        "batch": {
            "lanes": 1,
            "microbatch_size": BATCH_ROWS,
            "eval_microbatch_size": 4 * BATCH_ROWS,
            "max_length": MAX_LENGTH,
        },
        "epochs": epochs,
        "tracking": {"log_every_steps": 10, "tensorboard": False},
        "checkpoint": {"every_epochs": None, "every_steps": None},
    }


def run_thaw(arguments: argparse.Namespace, case: str, folder: Path) -> dict[str, float]:
    """Run a recipe on one rank in this process."""
    import torch

    from configs.records import Ended, Phase, Recorded, Step
    from configs.schema import Recipe
    from trainers.data.preparation import prepare
    from trainers.finetune import finetune
    from trainers.group import join_group, use_threads
    from trainers.place import Place

    use_threads(torch.get_num_threads())
    recipe = Recipe.model_validate(recipe_values(arguments, case, folder))
    made = prepare(recipe, recipe.storage)
    place = Place(0, 1, 0, str(folder / "runs" / case), made.data_dir, 1, "cpu")
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
    join_group(place, "127.0.0.1", 0)
    records: list[Any] = []
    tempfile.tempdir = str(folder)
    ended: Ended = finetune(recipe, place, records.append, lambda: False)
    last = max(r.time for r in records if isinstance(r, Step))
    (began,) = [r.time for r in records if isinstance(r, Phase)]
    recorded = [r.seconds for r in records if isinstance(r, Recorded)]
    started = min([began, *(r.time - r.seconds for r in records if isinstance(r, Recorded))])
    rows = recipe.epochs * made.manifest.splits["train"].rows
    return {
        "rows_per_s": rows / (last - started),
        "recording_s": sum(recorded),
        "accuracy": ended.metrics["accuracy"],
    }


def run_trainer(
    arguments: argparse.Namespace, case: str, folder: Path, *, by_length: bool
) -> dict[str, float]:
    """Fine-tune the same rows with Hugging Face Trainer, tokens made before."""
    splits, num_labels, rate = token_rows(arguments, case, folder)
    trainer = build_trainer(arguments, case, (splits["train"], num_labels), folder)
    trainer.args.learning_rate = rate
    trainer.args.num_train_epochs = arguments.baseline_epochs or CASES[case][1]
    if by_length:
        trainer.args.train_sampling_strategy = "group_by_length"
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return {
        "rows_per_s": trainer.args.num_train_epochs * len(splits["train"]) / seconds,
        "accuracy": trainer.evaluate(splits["test"])["eval_accuracy"],
    }


def token_rows(
    arguments: argparse.Namespace, case: str, folder: Path
) -> tuple[dict[str, list[dict[str, Any]]], int, float]:
    """Give the prepared rows as Trainer takes them, the number of labels, the learning rate."""
    import numpy as np

    from configs.schema import Recipe
    from trainers.data.preparation import prepare
    from trainers.data.store import open_split

    recipe = Recipe.model_validate(recipe_values(arguments, case, folder))
    made = prepare(recipe, recipe.storage)
    splits = {}
    for name in ("train", "test"):
        split = open_split(made.data_dir, made.manifest, name)
        table = split.read(np.arange(split.info.rows))
        pairs = zip(table["input_ids"].to_pylist(), table["label"].to_pylist(), strict=True)
        splits[name] = [
            {"input_ids": ids, "attention_mask": [1] * len(ids), "label": label}
            for ids, label in pairs
        ]
    return splits, len(made.manifest.label_names), recipe.optimizer.learning_rate


def build_trainer(
    arguments: argparse.Namespace, case: str, data: tuple[list[dict[str, Any]], int], folder: Path
) -> Any:
    """Load the model, freeze what the case freezes, and give it to Trainer."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.manual_seed(0)
    rows, num_labels = data
    model = AutoModelForSequenceClassification.from_pretrained(
        str(arguments.model), num_labels=num_labels
    )
    freezing = CASES[case][0]
    if freezing["mode"] != "full":
        model.bert.requires_grad_(False)
        blocks = model.bert.encoder.layer
        learning = [*blocks[len(blocks) - freezing.get("last", 0) :], model.bert.pooler]
        for module in learning if "last" in freezing else ():
            module.requires_grad_(True)
    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "trainer"),
            per_device_train_batch_size=BATCH_ROWS,
            per_device_eval_batch_size=64,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(str(arguments.model))),
        compute_metrics=lambda p: {"accuracy": float((p[0].argmax(-1) == p[1]).mean())},
    )


def main() -> None:
    """Run every side of the cases asked for in a process of its own; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=model_folder())
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--label", default="category")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES[:2]))
    parser.add_argument("--baseline-epochs", type=int)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        case, side = arguments.alone
        with tempfile.TemporaryDirectory(prefix="thaw-frozen-prefix-") as name:
            folder = Path(name)
            found = (
                run_thaw(arguments, case, folder)
                if side == "thaw"
                else run_trainer(arguments, case, folder, by_length=side == "by length")
            )
        print(json.dumps(found))
        return
    print(f"{'case':<8}{'side':<12}{'rows/s':>10}{'thaw is':>10}{'accuracy':>10}{'recording':>11}")
    for case in arguments.cases:
        speeds = {}
        for side in arguments.sides:
            command = [sys.executable, "-m", "benchmarks.frozen_prefix", *sys.argv[1:]]
            done = subprocess.run(
                [*command, "--alone", case, side], stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            speeds[side] = found["rows_per_s"]
            ratio = f"{speeds['thaw'] / found['rows_per_s']:.2f}x" if "thaw" in speeds else ""
            recording = f"{found['recording_s']:.1f} s" if found.get("recording_s") else ""
            print(
                f"{case:<8}{side:<12}{found['rows_per_s']:>10,.0f}{ratio:>10}"
                f"{found['accuracy']:>10.4f}{recording:>11}",
                flush=True,
            )


if __name__ == "__main__":
    main()
