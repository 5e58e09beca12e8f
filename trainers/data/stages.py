"""The first stages of a preparation; in which order and on which machines they run is elsewhere.

    scatter_source   one a source: read, clean each row, hash, lay rows into buckets by id
    clean_bucket     one a bucket, after all sources: compare rows with the same inputs
    (near_stages.py  drops near-duplicates, where that is asked for)
    deal_bucket      one a bucket, after all buckets are clean: split, count labels (dealing.py)
    encode_bucket    one a bucket, after all are dealt and the label names are chosen: tokenise,
                     write shards (encoding.py)
    prove_bucket     one a bucket, after its shards are written: read the ids back (proof.py)

Stages of one kind may run at the same time, on any machines that see the plan's folders; arguments
and results are small. Rows pass from stage to stage through files in `plan.work_dir`. The same
sources give the same shards, however many machines there are: buckets follow from the number of
bytes and the rows' ids alone.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from configs.errors import DataError
from configs.task_sections import asked_labels
from trainers.data.cleaning import Cleaner
from trainers.data.columns import class_column
from trainers.data.duplicates import (
    COPIES,
    HOLDS_OUT,
    ID_HIGH,
    ID_LOW,
    Rows,
    clean_rows,
    combine,
    ids,
)
from trainers.data.image_contents import content_hashes
from trainers.data.labels import Distinct
from trainers.data.mixing import take_quotas
from trainers.data.plan import EXTRA, Plan
from trainers.data.report import PLACE, Counts, Tally, add_tallies, places
from trainers.data.row_ids import Hashes, buckets, hash_values, row_ids
from trainers.data.rows import read_rows
from trainers.data.scratch import bucket_file, kept, read_bucket, read_rows_of, write_rows
from trainers.data.splits import parse_times
from trainers.data.store import FROZEN, SplitName

Tick = Callable[[float], None]
"""Takes the share of the work that is done."""


class Scattered(BaseModel):
    """What one source held."""

    model_config = FROZEN
    split: SplitName
    rows_in: int
    tally: Tally


class Cleaned(BaseModel):
    """What became of the rows of one bucket."""

    model_config = FROZEN
    tally: Tally


def scatter_source(plan: Plan, number: int, tick: Tick | None = None) -> Scattered:
    """Lay the rows of source `number` into buckets; raises DataError for a file that is bad."""
    files = [f"scattered/{number}.arrow", f"scattered/{number}.npy", f"groups/{number}.arrow"]
    work = f"scatter-{number}"
    make = partial(_scatter, plan, number, tick)
    return kept(plan.work_dir, work, Scattered, lambda _: files, make)


def clean_bucket(plan: Plan, bucket: int) -> Cleaned:
    """Clean the rows of one bucket; all sources must be scattered."""
    files = [f"clean/{bucket}-{split}.arrow" for split in plan.given]
    work = f"clean-{bucket}"
    return kept(plan.work_dir, work, Cleaned, lambda _: files, lambda: _clean(plan, bucket))


def _scatter(plan: Plan, number: int, tick: Tick | None) -> Scattered:
    source, name, counts = plan.sources[number], plan.view.names[number], Counts()
    labels, rules = asked_labels(plan.recipe.task), plan.recipe.data.cleaning
    target = plan.columns.target
    cleaner = Cleaner(rules, plan.columns, labels, name, counts)
    distinct = Distinct(plan.names[-1], name, asked=labels is not None)
    rows_in, num_bytes = 0, 0
    groups = np.zeros(0, np.uint64)
    with bucket_file(plan.work_dir, "scattered", str(number)) as file:
        extra = plan.extra_column(source.split)
        words = rules.missing_words
        for block in read_rows(source, plan.columns, extra, words, counts.changed):
            clean, stayed = cleaner.clean(block, rows_in + 1)
            place = places(number, rows_in + 1, block.num_rows).filter(pa.array(stayed))
            rows_in += block.num_rows
            num_bytes += block.nbytes
            if target is not None and target.has_classes:
                distinct.add(class_column(clean[target.name], target))
            rows = combine(_with_ids(plan, source.split, clean, place), across_sources=False)
            if plan.has_groups and source.split != "train":
                groups = np.union1d(groups, rows[EXTRA].to_numpy())
            file.append(rows, buckets(ids(rows)[0], plan.num_buckets))
            if tick is not None:
                tick(min(1.0, num_bytes / max(1, source.num_bytes)))
    distinct.check()
    if plan.has_groups and source.split != "train":
        write_rows(plan.work_dir, "groups", str(number), pa.table({EXTRA: groups}))
    return Scattered(split=source.split, rows_in=rows_in, tally=counts.tally())


def _clean(plan: Plan, bucket: int) -> Cleaned:
    parts = {split: [_no_rows(plan)] for split in plan.given}
    for number, source in enumerate(plan.sources):
        found = read_bucket(plan.work_dir, "scattered", str(number), bucket)
        if found is not None:
            parts[source.split].append(found)
    rows: Rows = {split: pa.concat_tables(tables) for split, tables in parts.items()}
    counts = Counts()
    rows = take_quotas(plan, bucket, rows, counts)
    cleaned = clean_rows(rows, plan.view, plan.recipe.data.cleaning.conflicts)
    rows = _apart(plan, cleaned.rows, counts) if plan.has_groups else cleaned.rows
    for split, table in rows.items():
        write_rows(plan.work_dir, "clean", f"{bucket}-{split}", table)
    return Cleaned(tally=add_tallies([cleaned.tally, counts.tally()]))


def _apart(plan: Plan, rows: Rows, counts: Counts) -> Rows:
    """Drop rows of groups that are also in the files given for another split."""
    left = dict(rows)
    held: list[tuple[SplitName, Hashes]] = []
    for split in HOLDS_OUT:
        if split not in left:
            continue
        for other, groups in held:
            table = left[split]
            leaked = np.isin(table[EXTRA].to_numpy(), groups)
            reason = f"group also in {other}"
            counts.dropped[reason] += int(table[COPIES].to_numpy()[leaked].sum())
            counts.contamination[f"{split} rows of groups in {other}"] += int(leaked.sum())
            shown = plan.view.show(table, leaked)
            counts.add_examples(reason, shown)
            left[split] = table.filter(pa.array(~leaked))
        if split != "train":
            held.append((split, _groups_of(plan, split)))
    return left


def _groups_of(plan: Plan, split: SplitName) -> Hashes:
    """Give all groups in the files given for a split."""
    numbers = [str(n) for n, source in enumerate(plan.sources) if source.split == split]
    return np.unique(
        np.concatenate(
            [read_rows_of(plan.work_dir, "groups", number)[EXTRA].to_numpy() for number in numbers]
        )
    )


def _with_ids(plan: Plan, split: SplitName, rows: pa.Table, place: pa.Array) -> pa.Table:
    """Add the halves of the rows' ids, their places, and what they are split by."""
    rows = rows.combine_chunks()
    inputs = [_array(rows, name) for name in plan.input_names]
    for number, column in enumerate(plan.columns.inputs):
        if column.kind == "image":
            inputs[number] = content_hashes(inputs[number], partial(_place_name, plan, place))
    target = plan.columns.target
    high, low = row_ids(inputs, None if target is None else _array(rows, target.name))
    made = rows.select(list(plan.names))
    made = made.append_column(ID_HIGH, pa.array(high)).append_column(ID_LOW, pa.array(low))
    made = made.append_column(PLACE, place)
    made = made.append_column(COPIES, pa.array(np.ones(len(rows), np.int64)))
    if plan.extra_type is None:
        return made
    return made.append_column(EXTRA, _extra(plan, split, rows, place))


def _extra(plan: Plan, split: SplitName, rows: pa.Table, place: pa.Array) -> pa.Array:
    rule = plan.recipe.data.split
    assert rule.column is not None, "the recipe was checked"
    if not plan.has_groups and split != "train":
        return pa.array(np.zeros(len(rows), np.int64))
    values = _array(rows, rule.column)

    name = partial(_place_name, plan, place)
    if rule.by == "time":
        return pa.array(parse_times(values.to_pylist(), rule, name))
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise DataError(
            f"{name(row)}: column {rule.column} is empty, and rows are split by it. Give every row "
            "a group, or set data.split.by to hash"
        )
    return pa.array(hash_values(values))


def _place_name(plan: Plan, place: pa.Array, row: int) -> str:
    return plan.view.place_name(place[row].as_py())


def _array(rows: pa.Table, column: str) -> pa.Array:
    chunks = rows[column].chunks
    return chunks[0] if chunks else pa.array([], pa.string())


def _no_rows(plan: Plan) -> pa.Table:
    fields = [(name, pa.string()) for name in plan.names]
    fields += [(ID_HIGH, pa.uint64()), (ID_LOW, pa.uint64())]
    fields += [(PLACE, pa.uint64()), (COPIES, pa.int64())]
    if plan.extra_type is not None:
        fields.append((EXTRA, plan.extra_type))
    return pa.schema(fields).empty_table()
