"""How long training waits for a commit that is written while it goes on, against one it waits for.

Both sides and DeepSpeed's own save_checkpoint take turns in the same processes, on the same live
model with all its weights and moments. Between two of them optimizer steps are taken.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from configs.schema import Recipe
from tests.tiny import make_csv, make_model_folder
from trainers.place import Place

if TYPE_CHECKING:
    from trainers.session import Session

SIZES = {"MiniLM": {"layers": 6, "hidden": 384}, "BERT-base": {"layers": 12, "hidden": 768}}
LANES = 2
SIDES = ("waited for", "meanwhile", "deepspeed")


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    size: str
    num_ranks: int
    stage: int
    runs: int
    folder: str

    def recipe(self) -> Recipe:
        """Give the recipe: every weight learns, nothing is committed by itself."""
        return Recipe.model_validate(
            {
                "name": "stall",
                "storage": f"{self.folder}/runs-{self.num_ranks}-{self.stage}",
                "model": {"path": f"{self.folder}/model"},
                "task": {"kind": "text_classification"},
                "data": {"train": f"{self.folder}/train.csv"},
                "batch": {"lanes": LANES, "microbatch_size": 4},
                "zero": {"stage": self.stage},
                "tracking": {"tensorboard": False},
                "cluster": {"num_workers": self.num_ranks},
            }
        )


def measure_rank(rank: int, case: Case, data_dir: str) -> None:
    """Take all turns on one rank. Collective: every rank calls this."""
    session = open_session(rank, case, data_dir)
    times = take_turns(session, case)
    if rank == 0:
        size = sum(path.stat().st_size for path in newest(session.place.run_dir).iterdir())
        tell(case, size / 2**20, {name: median(values[1:]) for name, values in times.items()})
    session.close()
    dist.destroy_process_group()


def open_session(rank: int, case: Case, data_dir: str) -> "Session":
    """Open the live model on one rank. Collective: every rank calls this."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // case.num_ranks))
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_SIZE": str(case.num_ranks)}
    from transformers.utils import logging

    from trainers.session import Session

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    meeting = f"file://{case.folder}/meeting-{case.num_ranks}-{case.stage}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=case.num_ranks)
    recipe = case.recipe()
    run_dir = f"{recipe.storage}/{recipe.name}"
    place = Place(rank, case.num_ranks, rank, run_dir, data_dir, 1, "cpu")
    return Session(recipe, place, lambda record: None)


def take_turns(session: "Session", case: Case) -> dict[str, list[float]]:
    """Commit in every way, turn by turn; gives the seconds. Collective: every rank calls this."""

    def waited_for() -> None:
        session.commit()
        session.commits.settle()

    def deepspeed() -> None:
        session.engine.handle.save_checkpoint(f"{case.folder}/deepspeed", "tag", save_latest=False)

    times: dict[str, list[float]] = {name: [] for name in (*SIDES, "step", "step meanwhile")}
    for _ in range(case.runs + 1):
        times["step"].append(timed(partial(take_step, session)))
        times["waited for"].append(timed(waited_for))
        take_step(session)
        times["meanwhile"].append(timed(session.commit))
        times["step meanwhile"].append(timed(partial(take_step, session)))
        session.commits.settle()
        times["deepspeed"].append(timed(deepspeed))
        if session.leads:
            shutil.rmtree(f"{case.folder}/deepspeed")
    return times


def take_step(session: "Session") -> None:
    """Take an optimizer step over one row of each lane. Collective: every rank calls this."""
    from trainers.partitions import prime

    prime(session.engine, session._feed_once)
    session.advance(step=session.cursor.step + 1)


def timed(action: Callable[[], None]) -> float:
    """Give the seconds that all ranks together take. Collective: every rank calls this."""
    dist.barrier()
    started = time.perf_counter()
    action()
    seconds = torch.tensor(time.perf_counter() - started)
    dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
    return float(seconds)


def newest(run_dir: str) -> Path:
    """Give the folder of the newest commit."""
    return max(Path(run_dir, "checkpoints").glob("step-*"))


def tell(case: Case, size: float, seconds: dict[str, float]) -> None:
    """Print a line of the table."""
    waited, stall, theirs = (seconds[side] for side in SIDES)
    alone, beside = seconds["step"], seconds["step meanwhile"]
    print(
        f"{case.size:<11}{case.num_ranks:>6}{case.stage:>6}{size:>8.0f}{theirs:>12.3f}"
        f"{waited:>12.3f}{stall:>12.3f}{stall / waited:>8.2f}{alone:>10.3f}{beside:>12.3f}",
        flush=True,
    )


def cases(options: argparse.Namespace, folder: str) -> Iterator[Case]:
    """Yield the lines of the table, with model and rows in place."""
    for size in options.sizes:
        home = f"{folder}/{size}"
        make_model_folder(Path(home, "model"), **SIZES[size])
        make_csv(Path(home, "train.csv"), 64)
        for num_ranks in options.ranks:
            for stage in options.stages:
                yield Case(size, num_ranks, stage, options.runs, home)


def main() -> None:
    """Prepare the rows and print the table."""
    from trainers.data.preparation import prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="counted turns")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--stages", nargs="+", type=int, default=[2], help="ZeRO stages")
    parser.add_argument("--folder", help="where commits go; else a temporary folder")
    options = parser.parse_args()
    print(
        f"{'model':<11}{'ranks':>6}{'ZeRO':>6}{'MiB':>8}{'deepspeed s':>12}{'waited s':>12}"
        f"{'stall s':>12}{'ratio':>8}{'step s':>10}{'beside s':>12}"
    )
    with tempfile.TemporaryDirectory(prefix="thaw-stall-", dir=options.folder) as folder:
        for case in cases(options, folder):
            prepared = prepare(case.recipe(), f"{case.folder}/runs")
            mp.spawn(measure_rank, args=(case, prepared.data_dir), nprocs=case.num_ranks)


if __name__ == "__main__":
    main()
