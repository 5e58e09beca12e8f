"""The stages of a preparation; in which order and on which machines they run stands elsewhere.

    scatter_source   one a source: read, drop what is missing, hash, lay rows into buckets by id
    clean_bucket     one a bucket, after all sources: drop duplicates, sort, split, count labels
    encode_bucket    one a bucket, after all buckets are cleaned and the label names are chosen:
                     tokenise and write shards

Stages of one kind may run at the same time, on any machines that see the plan's folders; arguments
and results are small and picklable. Rows pass from stage to stage through files in `plan.work_dir`.
The same sources give the same shards, however many machines there are: buckets follow from the
number of bytes and the rows' ids alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from trainers import storage
from trainers.data.cleaning import (
    ID_HIGH,
    ID_LOW,
    Examples,
    clean_rows,
    drop_missing,
    merge_examples,
)
from trainers.data.plan import Plan
from trainers.data.row_ids import buckets, row_ids
from trainers.data.rows import read_rows
from trainers.data.scratch import RowFiles, read_row_file, read_row_files
from trainers.data.store import (
    FROZEN,
    ROW_ID,
    SPLITS,
    SplitInfo,
    SplitName,
    hex_sum,
    write_shard,
)
from trainers.tasks import TaskModule, task_module

ENCODE_ROWS = 4096


class Scattered(BaseModel):
    """What one source held."""

    model_config = FROZEN
    split: SplitName
    rows_in: int
    dropped: dict[str, int]
    examples: Examples


class Cleaned(BaseModel):
    """What is left of one bucket."""

    model_config = FROZEN
    labels: dict[SplitName, dict[str, int]]
    """Rows of each label in each split."""
    duplicates: int
    dropped: dict[str, int]
    conflicts: int
    examples: Examples

    def num_rows(self, split: SplitName) -> int:
        """Rows of one split."""
        return sum(self.labels.get(split, {}).values())


class Encoded(BaseModel):
    """The shards of one bucket."""

    model_config = FROZEN
    splits: dict[SplitName, SplitInfo]
    max_length: int
    pad_token_id: int


def scatter_source(plan: Plan, number: int) -> Scattered:
    """Lay the rows of source `number` into buckets; raises DataError for a file that is bad."""
    source = plan.sources[number]
    name = source.address.rpartition("/")[2]
    rows_in, dropped, examples = 0, dict[str, int](), list[Examples]()
    with RowFiles(plan.work_dir, str(number)) as files:
        for block in read_rows(source, plan.input_columns, plan.target_column):
            kept, missing, some = drop_missing(block, plan.columns, name, rows_in + 1)
            rows_in += block.num_rows
            examples.append(some)
            for reason, count in missing.items():
                dropped[reason] = dropped.get(reason, 0) + count
            kept, places = _with_ids(plan, kept)
            for bucket in np.unique(places):
                files.append(_bucket(int(bucket)), kept.filter(pa.array(places == bucket)))
    merged = merge_examples(examples)
    return Scattered(split=source.split, rows_in=rows_in, dropped=dropped, examples=merged)


def clean_bucket(plan: Plan, bucket: int) -> Cleaned:
    """Clean and split the rows of one bucket; all sources must be scattered."""
    given = {source.split for source in plan.sources}
    parts = {split: [_no_rows(plan)] for split in SPLITS if split in given}
    for number, table in read_row_files(plan.work_dir, _bucket(bucket)).items():
        parts[plan.sources[int(number)].split].append(table)
    rows = {split: pa.concat_tables(tables) for split, tables in parts.items()}
    kept = clean_rows(rows, plan.columns, plan.shares)
    with RowFiles(plan.work_dir, _bucket(bucket)) as files:
        for split, table in kept.rows.items():
            files.append(f"clean-{split}", table)
    labels: dict[SplitName, dict[str, int]] = {}
    for split, table in kept.rows.items():
        counted = pc.value_counts(table[plan.target_column])
        labels[split] = {each["values"].as_py(): each["counts"].as_py() for each in counted}
    return Cleaned(
        labels=labels,
        duplicates=kept.duplicates,
        dropped=kept.dropped,
        conflicts=kept.conflicts,
        examples=kept.examples,
    )


def encode_bucket(
    plan: Plan,
    bucket: int,
    label_names: tuple[str, ...],
    cleaned: Sequence[Cleaned],
    tasks: TaskModule | None = None,
) -> Encoded:
    """Tokenise the rows of one bucket and write its shards; all buckets must be cleaned.

    `cleaned` are the results of all buckets: they tell how many shards come before this one's.
    `tasks` is the module of the recipe's task by default.
    """
    tasks = tasks or task_module(plan.recipe.task)
    tokenizer = tasks.load_tokenizer(plan.recipe.model)
    max_length = min(plan.recipe.batch.max_length, int(tokenizer.model_max_length))

    def encode(rows: pa.Table) -> pa.Table:
        columns = rows.select(list(plan.columns))
        return tasks.encode(plan.recipe.task, tokenizer, max_length, label_names, columns)

    storage.make_folder(plan.shard_dir)
    shard_rows = plan.recipe.data.shard_rows
    splits: dict[SplitName, SplitInfo] = {}
    for split in cleaned[bucket].labels:
        rows = read_row_file(plan.work_dir, f"clean-{split}", _bucket(bucket))
        first = sum(-(-before.num_rows(split) // shard_rows) for before in cleaned[:bucket])
        parts = [rows.slice(start, shard_rows) for start in range(0, len(rows), shard_rows)]
        infos = [
            _write_part(plan.shard_dir, f"{split}-{first + place:05d}.arrow", part, encode)
            for place, part in enumerate(parts)
        ]
        splits[split] = join_splits(infos, len(label_names))
    return Encoded(splits=splits, max_length=max_length, pad_token_id=int(tokenizer.pad_token_id))


def join_splits(infos: Sequence[SplitInfo], num_labels: int) -> SplitInfo:
    """Describe the parts of one split, in their order, as one."""
    lengths: Counter[int] = Counter()
    for info in infos:
        lengths.update(info.lengths)
    counts = np.zeros(num_labels, np.int64)
    for info in infos:
        counts[: len(info.class_counts)] += info.class_counts
    return SplitInfo(
        rows=sum(info.rows for info in infos),
        id_sum=hex_sum(np.array([int(info.id_sum, 16) for info in infos], np.uint64)),
        shards=tuple(shard for info in infos for shard in info.shards),
        lengths=dict(sorted(lengths.items())),
        class_counts=tuple(counts.tolist()),
    )


def _write_part(
    folder: str, file: str, rows: pa.Table, encode: Callable[[pa.Table], pa.Table]
) -> SplitInfo:
    """Write rows as one shard; a few thousand are tokenised at once, because tokens take memory."""
    starts = range(0, len(rows), ENCODE_ROWS)
    table = pa.concat_tables([encode(rows.slice(start, ENCODE_ROWS)) for start in starts])
    table = table.append_column(ROW_ID, rows[ID_LOW])
    shard = write_shard(folder, file, table)
    lengths, counts = np.unique(table["length"].to_numpy(), return_counts=True)
    return SplitInfo(
        rows=len(rows),
        id_sum=hex_sum(table[ROW_ID].to_numpy()),
        shards=(shard,),
        lengths=dict(zip(lengths.tolist(), counts.tolist(), strict=True)),
        class_counts=tuple(np.bincount(table["label"].to_numpy()).tolist()),
    )


def _with_ids(plan: Plan, rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Add the halves of the rows' ids, and tell each row's bucket."""
    rows = rows.combine_chunks()
    inputs = [_array(rows, column) for column in plan.input_columns]
    high, low = row_ids(inputs, _array(rows, plan.target_column))
    rows = rows.append_column(ID_HIGH, pa.array(high)).append_column(ID_LOW, pa.array(low))
    return rows, buckets(high, plan.num_buckets)


def _array(rows: pa.Table, column: str) -> pa.Array:
    chunks = rows[column].chunks
    return chunks[0] if chunks else pa.array([], pa.string())


def _no_rows(plan: Plan) -> pa.Table:
    fields = [(column, pa.string()) for column in plan.columns]
    return pa.schema([*fields, (ID_HIGH, pa.uint64()), (ID_LOW, pa.uint64())]).empty_table()


def _bucket(bucket: int) -> str:
    return f"bucket-{bucket:05d}"
