"""Time of an optimizer step in a run against a bare DeepSpeed loop over the same batches.

Both sides run in the same processes, in turns, with the same optimizer and ZeRO stage. The run
reads its batches, seeds dropout, weighs the loss and writes its records; the bare loop is handed
its batches in memory and does nothing but forward, backward and step.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from configs.records import Record, Step
from configs.schema import Recipe
from tests.tiny import make_csv, make_model_folder
from trainers.place import Place

SIZES = {"tiny": {"layers": 2, "hidden": 32}, "MiniLM": {"layers": 6, "hidden": 384}}
LANES = 4
MICROBATCH_SIZE = 8
WARMUP_STEPS = 10
Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    size: str
    num_ranks: int
    stage: int
    steps: int
    runs: int
    folder: str

    def recipe(self, turn: int) -> Recipe:
        """Give the recipe of one turn: one epoch, no evaluation, default logging."""
        return Recipe.model_validate(
            {
                "name": f"turn-{turn}",
                "storage": f"{self.folder}/runs-{self.num_ranks}-{self.stage}",
                "model": {"path": f"{self.folder}/model"},
                "task": {"kind": "text_classification"},
                "data": {"train": f"{self.folder}/train.csv"},
                "schedule": {"name": "constant"},
                "batch": {"lanes": LANES, "microbatch_size": MICROBATCH_SIZE},
                "epochs": 1,
                "zero": {"stage": self.stage},
                "checkpoint": {"every_minutes": None},
                "cluster": {"num_workers": self.num_ranks},
            }
        )


def time_run(recipe: Recipe, place: Place) -> float:
    """Give the seconds per step between the first step records and the last."""
    from trainers.finetune import finetune

    records: list[Step] = []

    def report(record: Record) -> None:
        if isinstance(record, Step) and record.step >= WARMUP_STEPS:
            records.append(record)

    finetune(recipe, place, report, lambda: False)
    if place.rank:
        return 0.0
    return (records[-1].time - records[0].time) / (records[-1].step - records[0].step)


def read_batches(recipe: Recipe, place: Place) -> list[list[Batch]]:
    """Read the batches of one epoch as the run does, and keep them."""
    from trainers.data.batches import batching, read_steps
    from trainers.data.epoch_plan import plan_epochs
    from trainers.data.store import load_manifest, open_split
    from trainers.tasks import functions_of

    manifest = load_manifest(place.data_dir)
    split = open_split(place.data_dir, manifest, "train")
    epochs = plan_epochs(recipe, manifest)
    collate = functions_of(recipe.task).collate(recipe.task, batching(recipe, manifest))
    lanes = epochs.open(split, place.rank, place.world_size, epoch=0)
    steps = read_steps(lanes, epochs.lanes, collate, epoch=0)
    return [[(each.inputs, each.labels) for each in step] for step in steps]


def time_bare(recipe: Recipe, place: Place, steps: list[list[Batch]]) -> float:
    """Give the seconds per step of forward, backward and step alone."""
    import deepspeed
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(recipe.model.path, num_labels=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    config = {
        "train_micro_batch_size_per_gpu": MICROBATCH_SIZE,
        "gradient_accumulation_steps": LANES // place.world_size,
        "gradient_clipping": 1.0,
        "zero_optimization": {"stage": recipe.zero.stage},
        "zero_allow_untested_optimizer": True,
    }
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config=config)[0]
    engine.train()
    start = 0.0
    for number, step in enumerate(steps, 1):
        for inputs, labels in step:
            loss = engine(**inputs, labels=labels).loss
            engine.backward(loss)
            engine.step()
        if number == WARMUP_STEPS:
            start = time.perf_counter()
    seconds = (time.perf_counter() - start) / (len(steps) - WARMUP_STEPS)
    engine.destroy()
    return seconds


def measure_rank(rank: int, case: Case, data_dir: str) -> None:
    """Run both sides in turns on one rank. Collective: every rank calls this."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // case.num_ranks))
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_SIZE": str(case.num_ranks)}
    from transformers.utils import logging

    from trainers.engine import start_distributed

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    meeting = f"file://{case.folder}/meeting-{case.num_ranks}-{case.stage}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=case.num_ranks)
    start_distributed("cpu")
    times: list[tuple[float, float]] = []
    for turn in range(case.runs + 1):
        recipe = case.recipe(turn)
        run_dir = f"{recipe.storage}/{recipe.name}"
        place = Place(rank, case.num_ranks, rank, run_dir, data_dir, 1, "cpu")
        bare = time_bare(recipe, place, read_batches(recipe, place))
        times.append((bare, time_run(recipe, place)))
    if rank == 0:
        bare, run = (median(side) for side in zip(*times[1:], strict=True))
        print(
            f"{case.size:<8}{case.num_ranks:>6}{case.stage:>6}"
            f"{bare * 1e3:>12.2f}{run * 1e3:>12.2f}{run / bare:>8.3f}",
            flush=True,
        )
    dist.destroy_process_group()


def cases(options: argparse.Namespace, folder: str) -> Iterator[Case]:
    """Yield the lines of the table, with model and rows in place."""
    for size in options.sizes:
        shape = SIZES[size]
        home = f"{folder}/{size}"
        make_model_folder(Path(home, "model"), **shape)
        make_csv(Path(home, "train.csv"), options.steps * LANES * MICROBATCH_SIZE)
        for num_ranks in options.ranks:
            yield Case(size, num_ranks, options.stage, options.steps, options.runs, home)


def main() -> None:
    """Prepare the rows and print the table."""
    from trainers.data.preparation import prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="counted turns")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps per turn")
    parser.add_argument("--stage", type=int, default=0, help="ZeRO stage")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    options = parser.parse_args()
    print(f"{'model':<8}{'ranks':>6}{'ZeRO':>6}{'bare ms':>12}{'run ms':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="thaw-step-") as folder:
        for case in cases(options, folder):
            prepared = prepare(case.recipe(0), f"{case.folder}/runs")
            mp.spawn(measure_rank, args=(case, prepared.data_dir), nprocs=case.num_ranks)


if __name__ == "__main__":
    main()
