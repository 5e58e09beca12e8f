"""What frozen layers still cost where nothing is recorded: compute of a step, bytes on the wire.

Compute is processor time of one thread: a step of which the share f is frozen needs the forward
pass of all and the backward pass of the rest, so it is to be 3 / (3 - 2f) times as fast as one in
which all learns. Bytes are told for two ranks: what DeepSpeed's collectives must send between
them, and what the loopback interface of a network namespace, in which nothing else talks, carries.
Needs unshare and ip, and leave to make namespaces.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from configs.records import Phase, Record, Step
from configs.schema import Recipe
from tests.tiny import make_csv, make_model_folder
from trainers.place import Place

BLOCKS = 6
WIDTH = 384
LANES = 2
MICROBATCH_ROWS = 16
TOKENS = 32
WARMUP_STEPS = 3
LEARNING: dict[str, tuple[dict[str, Any], float]] = {
    "all": ({"mode": "full"}, 0.0),
    "last 4": ({"last": 4}, 2 / 6),
    "last 2": ({"last": 2}, 4 / 6),
    "head": ({"mode": "head"}, 1.0),
}
"""What learns, and which share of the blocks does not."""
BYTES_OF_A_WEIGHT = 4
NEEDED = {"reduce": 1, "broadcast": 1, "all_gather_into_tensor": 2, "all_reduce": 2}
"""Bytes between two ranks for each byte that one of them hands to a collective."""


@dataclass
class Readings:
    """What was seen when each step was over."""

    seconds: list[float]
    needed_bytes: list[int]
    carried_bytes: list[int]
    learning: int = 0
    """Parameters."""

    def note(self, record: Record) -> None:
        """Read the clock and the interface after a step."""
        if isinstance(record, Phase):
            self.learning = record.trainable_parameters
        if isinstance(record, Step):
            self.seconds.append(time.process_time())
            self.needed_bytes.append(needed_bytes())
            self.carried_bytes.append(loopback_bytes())

    def step_seconds(self) -> float:
        """Give the processor time of a step."""
        times = self.seconds[WARMUP_STEPS:]
        return median(b - a for a, b in pairwise(times))

    def bytes_per_byte(self) -> tuple[float, float]:
        """Give what is needed and what is carried in a step for each byte that learns."""
        steps = len(self.seconds) - 1 - WARMUP_STEPS
        learning = self.learning * BYTES_OF_A_WEIGHT * steps
        needed, carried = (
            (each[-1] - each[WARMUP_STEPS]) / learning
            for each in (self.needed_bytes, self.carried_bytes)
        )
        return needed, carried


def needed_bytes() -> int:
    """Give the bytes that any way to do the collectives so far must send between two ranks."""
    from deepspeed.comm.comm import comms_logger

    return sum(
        NEEDED[operation] * num_bytes * found[0]
        for operation, sizes in comms_logger.comms_dict.items()
        for num_bytes, found in sizes.items()
        if operation in NEEDED
    )


def loopback_bytes() -> int:
    """Give the bytes that went over the loopback interface so far."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()
    (line,) = [each for each in lines if each.strip().startswith("lo:")]
    return int(line.split(":")[1].split()[0])


def recipe_of(folder: Path, learning: str, stage: int, turn: int) -> Recipe:
    """Write the recipe of one run: steps of equally wide microbatches, no recording."""
    freezing = {**LEARNING[learning][0], "prefix_cache": "off"}
    batch = {"lanes": LANES, "microbatch_size": MICROBATCH_ROWS, "pad_to_multiple_of": TOKENS}
    return Recipe.model_validate(
        {
            "name": f"{learning.replace(' ', '-')}-{stage}-{turn}",
            "storage": str(folder / "runs"),
            "model": {"path": str(folder / "model")},
            "task": {"kind": "text_classification"},
            "data": {"train": str(folder / "train.csv")},
            "freezing": freezing,
            "batch": batch,
            "epochs": 1,
            "zero": {"stage": stage},
            "tracking": {"log_every_steps": 1, "tensorboard": False},
            "checkpoint": {"every_epochs": None},
        }
    )


def run(rank: int, world_size: int, recipe: Recipe, data_dir: str, answer: str) -> None:
    """Run on one rank; rank 0 writes down what it read. Collective: every rank calls this."""
    import deepspeed

    from trainers.finetune import finetune

    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_SIZE": str(world_size)}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{answer}.meeting", rank=rank, world_size=world_size
    )
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    readings = Readings([], [], [])
    deepspeed.comm.configure(enabled=True, prof_all=True, verbose=False)
    finetune(recipe, place, readings.note, lambda: False)
    if rank == 0:
        told = [readings.step_seconds(), *readings.bytes_per_byte()]
        Path(answer).write_text(json.dumps(told))
    dist.destroy_process_group()


def measure(
    folder: Path, learning: str, num_ranks: int, stage: int, turn: int = 0
) -> tuple[float, float, float]:
    """Give the processor time of a step; bytes needed and carried for each byte that learns."""
    from trainers.data.preparation import prepare

    recipe = recipe_of(folder, learning, stage, turn)
    data_dir = prepare(recipe, recipe.storage).data_dir
    answer = folder / f"{recipe.name}-{num_ranks}.json"
    mp.spawn(run, args=(num_ranks, recipe, data_dir, str(answer)), nprocs=num_ranks)
    seconds, needed, carried = json.loads(answer.read_text())
    return seconds, needed, carried


def make_inputs(folder: Path, steps: int) -> None:
    """Make a model of MiniLM's shape without dropout, which would cost the layers that learn."""
    make_model_folder(folder / "model", layers=BLOCKS, hidden=WIDTH)
    path = folder / "model" / "config.json"
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | no_dropout))
    make_csv(folder / "train.csv", steps * LANES * MICROBATCH_ROWS)


def print_compute(folder: Path, runs: int) -> None:
    """Print what a step costs on one rank, by what learns."""
    found: dict[str, list[float]] = {learning: [] for learning in LEARNING}
    for turn in range(runs):
        for learning, seconds in found.items():
            seconds.append(measure(folder, learning, 1, 0, turn)[0])
    print(f"{'learning':<10}{'CPU ms a step':>15}{'faster':>9}{'theory':>9}{'share':>8}")
    for learning, (_, frozen) in LEARNING.items():
        faster = median(a / b for a, b in zip(found["all"], found[learning], strict=True))
        theory = 3 / (3 - 2 * frozen)
        print(
            f"{learning:<10}{median(found[learning]) * 1e3:>15.1f}{faster:>8.2f}x{theory:>8.2f}x"
            f"{faster / theory:>8.2f}",
            flush=True,
        )


def print_bytes(folder: Path) -> None:
    """Print what two ranks send, by what learns and ZeRO stage."""
    print(f"\n{'bytes for each that learns':<28}{'ZeRO':>6}{'needed':>9}{'carried':>9}")
    for learning in ("all", "last 2"):
        for stage in (1, 2):
            _, needed, carried = measure(folder, learning, 2, stage)
            print(f"{learning:<28}{stage:>6}{needed:>9.3f}{carried:>9.3f}", flush=True)


def main() -> None:
    """Go into a network namespace, then print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="turns of the first table")
    parser.add_argument("--steps", type=int, default=16, help="optimizer steps of a run")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        namespace = ["unshare", "--user", "--map-root-user", "--net"]
        shell = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        again = [sys.executable, "-m", "benchmarks.frozen_cost", *sys.argv[1:], "--inside"]
        sys.exit(subprocess.run([*namespace, *shell, *again], check=False).returncode)
    with tempfile.TemporaryDirectory(prefix="thaw-frozen-cost-") as name:
        folder = Path(name)
        make_inputs(folder, arguments.steps)
        print_compute(folder, arguments.runs)
        print_bytes(folder)


if __name__ == "__main__":
    main()
