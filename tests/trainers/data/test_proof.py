"""The proof: what is written in two splits, out of order or not at all is found."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from configs.errors import StorageError
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import Plan, plan_preparation
from trainers.data.proof import Prove, find_shared, prove_bucket, read_ids
from trainers.data.store import Shard, SplitInfo, SplitName, hex_sum, write_shard


def shards(folder: Path, split: str, *parts: list[int]) -> list[Shard]:
    made = []
    for place, part in enumerate(parts):
        ids = np.array(part, np.uint64)
        table = pa.table({"label": np.zeros(len(part)), "row_id": ids + 100, "input_id": ids})
        made.append(write_shard(str(folder), f"{split}-{place:05d}.arrow", table))
    return made


def test_inputs_in_two_splits_are_counted_across_shards(tmp_path: Path) -> None:
    train = shards(tmp_path, "train", [1, 2, 5], [7, 9], [20])
    test = shards(tmp_path, "test", [3, 6], [8, 20], [30])
    assert list(find_shared(str(tmp_path), {"train": train, "test": test})) == [
        "1 inputs are in train and in test"
    ]
    validation = shards(tmp_path, "validation", [4], [10, 11])
    splits: dict[SplitName, list[Shard]] = {"train": train, "validation": validation}
    assert list(find_shared(str(tmp_path), splits)) == []
    assert list(find_shared(str(tmp_path), {"train": train, "test": []})) == []


@pytest.mark.parametrize("parts", [([3, 2],), ([1, 5], [4])])
def test_rows_out_of_order_are_found(tmp_path: Path, parts: tuple[list[int], ...]) -> None:
    train = shards(tmp_path, "train", *parts)
    [problem] = find_shared(str(tmp_path), {"train": train})
    assert problem.endswith("is not in order")


def test_only_ids_are_read(tmp_path: Path) -> None:
    [shard] = shards(tmp_path, "train", [1, 2])
    inputs, row_ids = read_ids(str(tmp_path), shard)
    assert (inputs.tolist(), row_ids.tolist()) == ([1, 2], [101, 102])


def make_plan(folder: Path) -> Plan:
    path = write_lines(folder / "a.jsonl", numbered_rows(3))
    plan = plan_preparation(make_recipe(path), str(folder), tasks=words.WORDS)
    Path(plan.shard_dir).mkdir(parents=True)
    return plan.model_copy(update={"num_buckets": 2})


def described(made: list[Shard], row_ids: list[int], rows: int) -> SplitInfo:
    return SplitInfo(
        rows=rows,
        id_sum=hex_sum(np.array(row_ids, np.uint64)),
        shards=tuple(made),
        lengths={},
        class_counts=(),
    )


@pytest.mark.parametrize(
    ("bucket", "row_ids", "rows", "problem"),
    [
        (0, [101, 102], 2, None),
        (1, [101, 102], 2, "train-00000.arrow has rows that it should not have"),
        (0, [101, 103], 2, "the train split does not add up"),
        (0, [101, 102], 3, "the train split does not add up"),
    ],
)
def test_a_bucket_is_what_was_counted(
    tmp_path: Path, bucket: int, row_ids: list[int], rows: int, problem: str | None
) -> None:
    plan = make_plan(tmp_path)
    made = shards(Path(plan.shard_dir), "train", [1, 2])
    prove = Prove(bucket=bucket, splits={"train": described(made, row_ids, rows)})
    if problem is None:
        assert prove_bucket(plan, prove).rows == 2
        return
    with pytest.raises(StorageError, match=f"is not what was prepared: {problem}"):
        prove_bucket(plan, prove)


def test_a_leak_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    train = shards(Path(plan.shard_dir), "train", [1, 2])
    test = shards(Path(plan.shard_dir), "test", [2])
    splits: dict[SplitName, SplitInfo] = {
        "train": described(train, [101, 102], 2),
        "test": described(test, [102], 1),
    }
    with pytest.raises(StorageError, match="1 inputs are in train and in test"):
        prove_bucket(plan, Prove(bucket=0, splits=splits))
