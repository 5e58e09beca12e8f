"""Steps of microbatches: whole, the same for every world size, and safe to stop at any time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from configs.errors import DataError
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.batches import Microbatch, StepReader, read_steps
from trainers.data.lane_rows import open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.preparation import prepare
from trainers.data.store import Split, open_split


def make_split(folder: Path, num_rows: int, shard_rows: int = 40) -> Split:
    path = write_lines(folder / "train.jsonl", numbered_rows(num_rows))
    recipe = make_recipe(path, data={"shard_rows": shard_rows})
    made = prepare(recipe, str(folder), words.WORDS)
    return open_split(made.data_dir, made.manifest, "train")


def read(
    split: Split, plan: LanePlan, world_size: int = 1, start_step: int = 0
) -> list[list[Microbatch]]:
    """All steps, lanes in order, put together from the ranks of a world."""
    ranks = []
    for rank in range(world_size):
        lanes = open_lanes(split, plan, rank, world_size)
        with read_steps(lanes, plan, words.collate, epoch=1, start_step=start_step) as steps:
            ranks.append(list(steps))
    joined = [[each for rank in step for each in rank] for step in zip(*ranks, strict=True)]
    return [sorted(step, key=lambda each: each.lane) for step in joined]


def same(first: Microbatch, second: Microbatch) -> bool:
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    assert first.row_ids.tolist() == second.row_ids.tolist()
    return (first.lane, first.epoch, first.step) == (second.lane, second.epoch, second.step)


def test_an_epoch_adds_up_to_the_manifest(tmp_path: Path) -> None:
    split = make_split(tmp_path, 203)
    steps = read(split, LanePlan(203, 4, 8, seed=3, shuffle=True))
    fed = [each for step in steps for each in step]
    ids = np.concatenate([each.row_ids for each in fed])
    assert sum(each.num_rows for each in fed) == len(set(ids.tolist())) == 203
    assert f"{int(ids.sum(dtype=np.uint64)):016x}" == split.info.id_sum
    assert sum(each.num_targets for each in fed) == 203
    assert sum(each.num_tokens for each in fed) == sum(k * v for k, v in split.info.lengths.items())
    assert [(each.lane, each.step) for each in fed] == [
        (lane, step) for step in range(7) for lane in range(4)
    ]
    for each in fed:
        assert each.num_fed_tokens == each.inputs["input_ids"].numel()
        assert int((each.inputs["input_ids"] > 0).sum()) == each.num_tokens


@pytest.mark.parametrize("world_size", [2, 4])
def test_every_world_size_feeds_the_same_steps(tmp_path: Path, world_size: int) -> None:
    split, plan = make_split(tmp_path, 90), LanePlan(90, 4, 4, seed=3, shuffle=True)
    for one, many in zip(read(split, plan), read(split, plan, world_size), strict=True):
        assert all(same(a, b) for a, b in zip(one, many, strict=True))


@pytest.mark.parametrize("world_size", [1, 2])
def test_what_is_left_out_is_fed_without_its_rows(tmp_path: Path, world_size: int) -> None:
    split, plan = make_split(tmp_path, 90), LanePlan(90, 4, 4, seed=3, shuffle=True)
    whole = read(split, plan, world_size)
    # Lane 0 is at home in row 0: what is left out is the microbatch that holds it, and another.
    (home,) = [n for n, step in enumerate(whole) if 0 in step[0].numbers]
    left_out = {(home, 0), (1, 2)}
    for rank in range(world_size):
        lanes = open_lanes(split, plan, rank, world_size)
        with read_steps(lanes, plan, words.collate, epoch=1, left_out=left_out) as steps:
            for theirs, step in zip(whole, steps, strict=True):
                for each in step:
                    if (each.step, each.lane) not in left_out:
                        assert same(each, theirs[each.lane])
                        continue
                    assert (each.num_rows, each.num_targets, len(each.row_ids)) == (0, 0, 0)
                    fed = {tuple(row) for row in each.inputs["input_ids"].tolist()}
                    gone = theirs[each.lane].inputs["input_ids"]
                    assert not fed & {tuple(row) for row in gone.tolist()}


def test_resuming_equals_replaying(tmp_path: Path) -> None:
    split, plan = make_split(tmp_path, 90), LanePlan(90, 2, 1, seed=3, shuffle=True)
    whole = read(split, plan)
    for start in (0, 1, 23, 44, 45):
        resumed = read(split, plan, start_step=start)
        assert len(resumed) == len(whole) - start
        for one, other in zip(whole[start:], resumed, strict=True):
            assert all(same(a, b) for a, b in zip(one, other, strict=True))


def test_a_lane_without_rows_feeds_a_dummy_that_counts_nothing(tmp_path: Path) -> None:
    split = make_split(tmp_path, 3)
    (step,) = read(split, LanePlan(3, 4, 8, seed=0, shuffle=True))
    assert [each.num_rows for each in step] == [0, 1, 1, 1]
    empty = step[0]
    assert empty.labels.tolist() == [-100]
    assert empty.inputs["input_ids"].shape[0] == 1
    assert (empty.num_targets, empty.num_tokens, len(empty.row_ids)) == (0, 0, 0)
    assert empty.num_fed_tokens == empty.inputs["input_ids"].numel() > 0


def test_an_error_in_the_thread_reaches_the_reader_at_its_step(tmp_path: Path) -> None:
    split = make_split(tmp_path, 90)
    (tmp_path / ".prepared").rename(tmp_path / "moved")
    plan = LanePlan(90, 1, 8, 0, True)
    with (
        read_steps(open_lanes(split, plan, 0, 1), plan, words.collate, epoch=0) as steps,
        pytest.raises(DataError, match=r"train-0000.\.arrow is missing"),
    ):
        next(steps)


def test_closing_early_ends_the_thread(tmp_path: Path) -> None:
    split, before = make_split(tmp_path, 90), threading.active_count()
    plan = LanePlan(90, 1, 1, seed=0, shuffle=True)
    lanes = open_lanes(split, plan, 0, 1)
    steps = read_steps(lanes, plan, words.collate, epoch=0, prefetch=3)
    next(steps)
    assert threading.active_count() == before + 1
    steps.close()
    steps.close()
    assert threading.active_count() == before
    assert list(steps) == []


def test_no_more_is_made_ahead_than_asked_for() -> None:
    made = threading.Semaphore(0)
    count = 0

    def endless() -> Iterator[list[Microbatch]]:
        nonlocal count
        while True:
            count += 1
            made.release()
            yield []

    with StepReader(endless(), prefetch=2) as steps:
        for _ in range(5):
            next(steps)
        for _ in range(7):
            assert made.acquire(timeout=10)
        assert count == 7


def test_waiting_is_measured() -> None:
    asked = threading.Event()

    def slow() -> Iterator[list[Microbatch]]:
        asked.wait(timeout=10)
        time.sleep(0.3)
        yield []

    with StepReader(slow(), prefetch=1) as steps:
        assert steps.seconds_waited == 0
        started = time.perf_counter()
        asked.set()
        next(steps)
        assert 0.1 < steps.seconds_waited <= time.perf_counter() - started


def test_rows_are_handed_to_collate_in_slices(tmp_path: Path) -> None:
    seen: list[pa.Table] = []

    def collate(rows: pa.Table) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        seen.append(rows)
        return words.collate(rows)

    split = make_split(tmp_path, 90)
    plan = LanePlan(90, 1, 8, seed=0, shuffle=True)
    with read_steps(open_lanes(split, plan, 0, 1), plan, collate, epoch=0) as steps:
        assert len(list(steps)) == 12
    assert all(rows["row_id"].num_chunks == 1 for rows in seen)
    buffers = {rows["row_id"].chunk(0).buffers()[1].address for rows in seen}
    assert len(buffers) == 1
