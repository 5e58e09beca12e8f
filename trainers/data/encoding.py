"""Tokenise the dealt rows of a bucket and write its shards."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from trainers import storage
from trainers.data.augmentation import keep_texts
from trainers.data.duplicates import COPIES, ID_HIGH, ID_LOW
from trainers.data.image_sizes import ImageSizes, SizeCount
from trainers.data.mixing import source_places
from trainers.data.plan import SET, Plan
from trainers.data.report import Counts, Tally
from trainers.data.scratch import kept, read_rows_of
from trainers.data.store import (
    FROZEN,
    INPUT_ID,
    ROW_ID,
    SOURCE,
    SplitInfo,
    SplitName,
    hex_sum,
    write_shard,
)
from trainers.data.unusable import count_refused, encode_usable, without
from trainers.tasks import functions_of
from trainers.tasks.functions import TaskFunctions

ENCODE_ROWS = 4096
LABELS = "labels.json"
FROM = "thaw.source"
"""Column with the place of a row's source; a task's column may be called what the shard's is."""


Tokenised = Callable[[pa.Table], pa.Table | None]
"""Makes rows of a shard of some rows; None where none of them can be used."""


class LabelNames(BaseModel):
    """The label names in order."""

    model_config = FROZEN
    names: tuple[str, ...]


class Encode(BaseModel):
    """Where the shards of a bucket stand among all."""

    model_config = FROZEN
    bucket: int
    first_shards: dict[SplitName, int]
    """Number of its first shard in each split."""


class Encoded(BaseModel):
    """The shards of one bucket."""

    model_config = FROZEN
    splits: dict[SplitName, SplitInfo]
    max_length: int
    pad_token_id: int
    numbers: dict[str, int]
    """What batches must know besides the rows."""
    image_sizes: ImageSizes = ImageSizes()
    unusable: Tally = Tally()
    """Rows that the task cannot encode, as dropped."""


def encode_bucket(plan: Plan, encode: Encode, tasks: TaskFunctions | None = None) -> Encoded:
    """Tokenise the rows of one bucket and write its shards; all buckets must be dealt.

    The label names stand in the work folder. `tasks` are by default the functions of the recipe's
    task.
    """

    def files(made: Encoded) -> list[str]:
        shards = [shard for info in made.splits.values() for shard in info.shards]
        return [f"{SET}/{shard.file}" for shard in shards]

    work = f"encode-{encode.bucket}"
    return kept(plan.work_dir, work, Encoded, files, lambda: _encode(plan, encode, tasks))


def _encode(plan: Plan, encode: Encode, tasks: TaskFunctions | None) -> Encoded:
    tasks = tasks or functions_of(plan.recipe.task)
    tokenizer = tasks.load_processor(plan.recipe.model)
    max_length = min(plan.recipe.batch.max_length, int(tokenizer.model_max_length))
    names = read_labels(plan)
    sizes, unusable = SizeCount(), Counts()

    def tokenised(rows: pa.Table) -> pa.Table | None:
        def encode(some: pa.Table) -> pa.Table:
            columns = some.select(list(plan.names))
            return tasks.encode(plan.recipe.task, tokenizer, max_length, names, columns)

        encoded, refused = encode_usable(encode, rows)
        count_refused(unusable, plan.view, rows, refused)
        if encoded is None:
            return None
        return _with_ids(plan, without(rows, refused), sizes.take(encoded))

    storage.make_folder(plan.shard_dir)
    splits = {
        split: _write_split(plan, encode.bucket, split, first, tokenised, num_labels=len(names))
        for split, first in encode.first_shards.items()
    }
    return Encoded(
        splits=splits,
        max_length=max_length,
        pad_token_id=int(tokenizer.pad_token_id),
        numbers=tasks.numbers(plan.recipe.model, tokenizer),
        image_sizes=sizes.sizes(),
        unusable=unusable.tally(),
    )


def _write_split(
    plan: Plan,
    bucket: int,
    split: SplitName,
    first: int,
    tokenised: Tokenised,
    *,
    num_labels: int,
) -> SplitInfo:
    """Write the shards of one split, numbered from `first`; one that stays empty is left out."""
    rows = read_rows_of(plan.work_dir, "dealt", f"{bucket}-{split}")
    rows = rows.append_column(FROM, source_places(plan, rows))
    ends = np.cumsum(rows[COPIES].to_numpy())
    count = int(ends[-1]) if len(ends) else 0
    infos = []
    for place, start in enumerate(range(0, count, plan.shard_rows)):
        numbers = np.arange(start, min(count, start + plan.shard_rows))
        part = rows.take(pa.array(np.searchsorted(ends, numbers, side="right")))
        file = f"{split}-{first + place:05d}.arrow"
        info = _write_part(plan.shard_dir, file, part, tokenised, has_classes=bool(num_labels))
        infos += [info] if info is not None else []
    return join_splits(infos, num_labels)


def _with_ids(plan: Plan, rows: pa.Table, encoded: pa.Table) -> pa.Table:
    """Put to encoded rows what shards hold besides: texts to augment, ids, the source."""
    whole = keep_texts(plan.recipe.augmentation, plan.input_names, rows, encoded)
    whole = whole.append_column(ROW_ID, rows[ID_LOW]).append_column(INPUT_ID, rows[ID_HIGH])
    return whole.append_column(SOURCE, rows[FROM])


def write_labels(plan: Plan, names: tuple[str, ...]) -> None:
    """Put the label names where every bucket finds them."""
    text = LabelNames(names=names).model_dump_json()
    storage.write_atomically(storage.join(plan.work_dir, LABELS), text.encode())


def read_labels(plan: Plan) -> tuple[str, ...]:
    """Read what `write_labels` wrote."""
    data = storage.read_bytes(storage.join(plan.work_dir, LABELS))
    return LabelNames.model_validate_json(data).names


def join_splits(infos: Sequence[SplitInfo], num_labels: int) -> SplitInfo:
    """Describe the parts of one split, in their order, as one."""
    lengths: Counter[int] = Counter()
    for info in infos:
        lengths.update(info.lengths)
    counts = np.zeros(num_labels, np.int64)
    for info in infos:
        counts[: len(info.class_counts)] += np.array(info.class_counts, np.int64)
    of_sources = zip_longest(*(info.source_counts for info in infos), fillvalue=0)
    return SplitInfo(
        rows=sum(info.rows for info in infos),
        id_sum=hex_sum(np.array([int(info.id_sum, 16) for info in infos], np.uint64)),
        shards=tuple(shard for info in infos for shard in info.shards),
        lengths=dict(sorted(lengths.items())),
        class_counts=tuple(counts.tolist()),
        source_counts=tuple(map(sum, of_sources)),
    )


def count_classes(labels: pa.ChunkedArray) -> tuple[int, ...]:
    """Count how often each class comes among numbers or lists of them; none is below zero."""
    joined = labels.combine_chunks()
    numbers = (joined if pa.types.is_integer(joined.type) else joined.flatten()).to_numpy()
    return tuple(np.bincount(numbers[numbers >= 0]).tolist())


def _write_part(
    folder: str,
    file: str,
    rows: pa.Table,
    tokenised: Tokenised,
    *,
    has_classes: bool,
) -> SplitInfo | None:
    """Write rows as one shard; a few thousand are tokenised at once, because tokens take memory.

    Returns None where none of them can be used: there is no shard then.
    """
    starts = range(0, len(rows), ENCODE_ROWS)
    tables = [tokenised(rows.slice(start, ENCODE_ROWS)) for start in starts]
    usable = [table for table in tables if table is not None]
    if not usable:
        return None
    table = pa.concat_tables(usable)
    shard = write_shard(folder, file, table)
    lengths, counts = np.unique(table["length"].to_numpy(), return_counts=True)
    return SplitInfo(
        rows=len(table),
        id_sum=hex_sum(table[ROW_ID].to_numpy()),
        shards=(shard,),
        lengths=dict(zip(lengths.tolist(), counts.tolist(), strict=True)),
        class_counts=count_classes(table["label"]) if has_classes else (),
        source_counts=tuple(np.bincount(table[SOURCE].to_numpy()).tolist()),
    )
