"""Prove from what was written that no input is in two splits; rows were dealt elsewhere.

Reads the ids of shards back, one shard of each split at a time: rows are sorted by the id of their
inputs, in a shard and from shard to shard.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from configs.errors import StorageError
from trainers import storage
from trainers.data.duplicates import ID_HIGH
from trainers.data.plan import Plan
from trainers.data.row_ids import Hashes, buckets
from trainers.data.scratch import read_rows_of
from trainers.data.store import FROZEN, INPUT_ID, ROW_ID, Shard, SplitInfo, SplitName, hex_sum

Splits = Mapping[SplitName, Sequence[Shard]]


class Prove(BaseModel):
    """The shards of one bucket."""

    model_config = FROZEN
    bucket: int
    splits: dict[SplitName, SplitInfo]


class Proven(BaseModel):
    """How much was read back."""

    model_config = FROZEN
    rows: int


def prove_bucket(plan: Plan, prove: Prove) -> Proven:
    """Read back what was written of one bucket.

    Raises StorageError where an input is in two splits, or outside its bucket, or rows or ids are
    not those that were counted, or a near-duplicate that was found is there still.
    """
    shards = {split: info.shards for split, info in prove.splits.items()}
    gone = np.zeros(0, np.uint64)
    if plan.recipe.data.cleaning.near_duplicates is not None:
        gone = read_rows_of(plan.work_dir, "near", str(prove.bucket))[ID_HIGH].to_numpy()
    for split, info in prove.splits.items():
        total, rows = hex_sum(gone[:0]), 0
        for shard in info.shards:
            inputs, row_ids = read_ids(plan.shard_dir, shard)
            total, rows = hex_sum(row_ids, total), rows + len(row_ids)
            inside = buckets(inputs, plan.num_buckets) == prove.bucket
            if not inside.all() or np.isin(inputs, gone).any():
                raise StorageError(_broken(plan, f"{shard.file} has rows that it should not have"))
        if (total, rows) != (info.id_sum, info.rows):
            raise StorageError(_broken(plan, f"the {split} split does not add up"))
    for problem in find_shared(plan.shard_dir, shards):
        raise StorageError(_broken(plan, problem))
    return Proven(rows=sum(info.rows for info in prove.splits.values()))


def find_shared(folder: str, splits: Splits) -> Iterator[str]:
    """Give a sentence for each two splits that have inputs in common, or that are not in order."""
    for shards in splits.values():
        last = 0
        for shard in shards:
            inputs, _ = read_ids(folder, shard)
            if len(inputs) and (int(inputs[0]) < last or (inputs[1:] < inputs[:-1]).any()):
                yield f"{shard.file} is not in order"
            last = int(inputs[-1]) if len(inputs) else last
    for first, second in combinations(splits, 2):
        count = _count_shared(folder, splits[first], splits[second])
        if count:
            yield f"{count} inputs are in {first} and in {second}"


def read_ids(folder: str, shard: Shard) -> tuple[Hashes, Hashes]:
    """Read the ids of the inputs and of the rows of one shard, and nothing else of it."""
    with storage.open_input(storage.join(folder, shard.file)) as file:
        names = pa.ipc.open_file(file).schema.names
        fields = [names.index(INPUT_ID), names.index(ROW_ID)]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        table = pa.ipc.open_file(file, options=options).read_all()
        return table[INPUT_ID].to_numpy().copy(), table[ROW_ID].to_numpy().copy()


def read_column(folder: str, shard: Shard, name: str) -> pa.ChunkedArray:
    """Read one column of one shard, and nothing else of it."""
    with storage.open_input(storage.join(folder, shard.file)) as file:
        options = pa.ipc.IpcReadOptions(
            included_fields=[pa.ipc.open_file(file).schema.names.index(name)]
        )
        return pa.ipc.open_file(file, options=options).read_all()[name]


def _count_shared(folder: str, first: Sequence[Shard], second: Sequence[Shard]) -> int:
    """Count inputs in both, by going through both in order."""
    count = 0
    left, right = (_inputs(folder, shards) for shards in (first, second))
    one, two = next(left, None), next(right, None)
    while one is not None and two is not None:
        count += len(np.intersect1d(one, two))
        if one[-1] <= two[-1]:
            one = next(left, None)
        else:
            two = next(right, None)
    return count


def _inputs(folder: str, shards: Sequence[Shard]) -> Iterator[Hashes]:
    for shard in shards:
        inputs, _ = read_ids(folder, shard)
        if len(inputs):
            yield inputs


def _broken(plan: Plan, problem: str) -> str:
    return (
        f"what was written to {plan.shard_dir} is not what was prepared: {problem}. Check the disk "
        "and prepare the data again"
    )
