"""Functions with the interface of trainers.finetune.finetune that train nothing."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.records import Ended, Record, Step
from configs.schema import Recipe
from trainers import storage
from trainers.place import Place


def finetune(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Count steps up to max_steps; every rank adds its rank to a sum over all ranks."""
    import torch
    import torch.distributed as dist

    total = torch.tensor([float(place.rank)])
    step, last = _committed(place), recipe.max_steps or 3
    while step < last:
        step += 1
        total = torch.tensor([float(place.rank)])
        dist.all_reduce(total)
        if place.rank == 0:
            record = _step(place, step, last, float(total))
            storage.append_lines(f"{place.run_dir}/metrics.jsonl", [record.model_dump_json()])
            report(record)
            _commit(place, step)
        stop = [stop_requested() if place.rank == 0 else False]
        dist.broadcast_object_list(stop, src=0)
        if stop[0]:
            return _ended("stopped", 143, step, total)
        time.sleep(float(os.environ.get("FAKE_STEP_S", "0")))
    return _ended("succeeded", 0, step, total)


def hang(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Hang on rank 1 in as many first attempts as the environment says; train in later ones."""
    import torch
    import torch.distributed as dist

    if place.attempt > int(os.environ["FAKE_HANGS"]):
        return finetune(recipe, place, report, stop_requested)
    while place.rank == 1:
        time.sleep(0.01)
    dist.all_reduce(torch.zeros(1))
    raise AssertionError("rank 1 was not waited for")


def short_of_memory(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Run out of memory on the last rank unless microbatches are fed in so many parts."""
    import torch

    last = place.rank == place.world_size - 1
    if last and recipe.faults.feed_parts < int(os.environ["FAKE_PARTS"]):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return finetune(recipe, place, report, stop_requested)


def bad_data(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Fail on one rank as bad data does."""
    if place.rank == place.world_size - 1:
        raise DataError("row 3 has no label. Give it one")
    time.sleep(30)
    raise AssertionError("the other ranks were not ended")


def evaluate(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    split: str,
    rows: str,
    shown: str,
) -> Ended:
    """Report one step and where the data lie."""
    if place.rank == 0:
        report(_step(place, 1, 1, 0.5))
    ended = _ended("succeeded", 0, 1, 0.0)
    said = f"{split} of {rows} as {shown}, run on {place.data_dir}"
    return ended.model_copy(update={"message": said})


def _ended(state: str, code: int, step: int, total: Any) -> Ended:
    return Ended.model_validate(
        {
            "time": time.time(),
            "state": state,
            "exit_code": code,
            "error": None,
            "message": f"sum of ranks {float(total)}",
            "step": step,
            "metrics": {"accuracy": 1.0},
            "rows": 1,
        }
    )


def _committed(place: Place) -> int:
    names = storage.list_names(f"{place.run_dir}/checkpoints")
    return max((int(name.split("-")[1].split(".")[0]) for name in names), default=0)


def _commit(place: Place, step: int) -> None:
    folder = f"{place.run_dir}/checkpoints/step-{step:08d}.a{place.attempt:02d}"
    storage.write_atomically(f"{folder}/MANIFEST.json", json.dumps({"step": step}).encode())


def _step(place: Place, step: int, last: int, loss: float) -> Step:
    return Step(
        time=time.time(),
        attempt=place.attempt,
        step=step,
        total_steps=last,
        epoch=step / last,
        loss=loss,
        learning_rate=0.1,
        grad_norm=1.0,
        rows_per_s=1.0,
        tokens_per_s=1.0,
        data_wait=0.0,
        padding=0.0,
        seconds=0.1,
    )


def pid_of(run_dir: Path, rank: int, attempt: int = 1) -> int:
    """Read the process of a rank from what the workers announced."""
    path = run_dir / "logs" / f"a{attempt:02d}" / f"rank-{rank}.json"
    return int(json.loads(path.read_text())["pid"])
