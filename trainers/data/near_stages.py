"""The stages that drop near-duplicates; what counts as one stands in near_duplicates.py.

    sketch_bucket   one a bucket: MinHash, lay each row's bands into buckets by their hashes
    pair_bucket     one a bucket of bands: pair rows of the same band, lay pairs into the buckets
                    of the row that would stay
    lend_bucket     one a bucket: give each pair the text of the row that would stay, lay it into
                    the bucket of the row that would go
    compare_bucket  one a bucket: compare the texts, drop the rows that nearly repeat another

Of two training rows the one with the larger id goes, whether or not the other one stays; a training
row near one given for validation or test goes, and a validation row near one given for test. So no
two rows that were found alike are left, and none of it depends on the order of work.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from trainers.data.columns import plain_texts
from trainers.data.duplicates import COPIES, ID_HIGH, ids
from trainers.data.near_duplicates import band_hashes, jaccard, pair_up, shingle
from trainers.data.plan import Plan
from trainers.data.report import MAX_EXAMPLES, PLACE, Counts, Mask, Tally
from trainers.data.row_ids import buckets
from trainers.data.scratch import bucket_file, kept, read_bucket, read_rows_of, write_rows
from trainers.data.splits import NUMBERS, first_of_inputs
from trainers.data.store import FROZEN, SplitName

SLICE_ROWS = 32_768
NAMES: dict[int, SplitName] = {number: split for split, number in NUMBERS.items()}

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


class Compared(BaseModel):
    """What near-duplicates one bucket had; empty for the stages before."""

    model_config = FROZEN
    tally: Tally = Tally()


def sketch_bucket(plan: Plan, bucket: int) -> Compared:
    """Lay the bands of a bucket's rows into buckets by their hashes; all buckets must be clean."""
    return _kept(plan, "bands", bucket, _sketch)


def pair_bucket(plan: Plan, bucket: int) -> Compared:
    """Pair the rows whose bands are the same; all buckets must be sketched."""
    return _kept(plan, "pairs", bucket, _pair)


def lend_bucket(plan: Plan, bucket: int) -> Compared:
    """Give pairs the texts of the rows of this bucket; all buckets must be paired."""
    return _kept(plan, "lent", bucket, _lend)


def compare_bucket(plan: Plan, bucket: int) -> Compared:
    """Find the rows to drop; all buckets must have lent."""
    files = [f"near/{bucket}.arrow"]
    work = f"near-{bucket}"
    return kept(plan.work_dir, work, Compared, lambda _: files, lambda: _compare(plan, bucket))


def _sketch(plan: Plan, bucket: int) -> None:
    rules = plan.recipe.data.cleaning.near_duplicates
    assert rules is not None, "near-duplicates are looked for"
    with bucket_file(plan.work_dir, "bands", str(bucket)) as file:
        for split in plan.given:
            rows = _inputs(plan, bucket, split)
            for start in range(0, len(rows), SLICE_ROWS):
                part = rows.slice(start, SLICE_ROWS)
                found = band_hashes(shingle(_texts(plan, part), rules.shingle_words), rules)
                keys = found.reshape(-1)
                high = np.repeat(ids(part)[0], found.shape[1])
                sides = np.full(len(keys), NUMBERS[split], np.int8)
                table = pa.table({"key": keys, ID_HIGH: high, "side": sides})
                file.append(table, buckets(keys, plan.num_buckets))


def _pair(plan: Plan, bucket: int) -> None:
    rows = _gathered(plan, "bands", bucket)
    with bucket_file(plan.work_dir, "pairs", str(bucket)) as file:
        if rows is None:
            return
        high, sides = rows[ID_HIGH].to_numpy(), rows["side"].to_numpy()
        weak, strong = pair_up(rows["key"].to_numpy(), sides, high)
        # Two rows given for the same split both stay as they are.
        may_go = (sides[weak] != sides[strong]) | (sides[weak] == NUMBERS["train"])
        weak, strong = weak[may_go], strong[may_go]
        order = np.lexsort((sides[strong], high[strong], sides[weak], high[weak]))
        weak, strong = weak[order], strong[order]
        pairs = np.stack(
            [
                high[weak],
                sides[weak].astype(np.uint64),
                high[strong],
                sides[strong].astype(np.uint64),
            ]
        )
        fresh = np.ones(len(order), bool)
        fresh[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
        weak, strong = weak[fresh], strong[fresh]
        table = pa.table(
            {
                "weak": high[weak],
                "weak_side": sides[weak],
                "strong": high[strong],
                "strong_side": sides[strong],
            }
        )
        file.append(table, buckets(high[strong], plan.num_buckets))


def _lend(plan: Plan, bucket: int) -> None:
    pairs = _gathered(plan, "pairs", bucket)
    with bucket_file(plan.work_dir, "lent", str(bucket)) as file:
        for split in plan.given if pairs is not None else ():
            assert pairs is not None
            some = pairs.filter(pa.array(pairs["strong_side"].to_numpy() == NUMBERS[split]))
            rows = _inputs(plan, bucket, split)
            high = ids(rows)[0]
            for start in range(0, len(some), SLICE_ROWS):
                part = some.slice(start, SLICE_ROWS)
                places = np.searchsorted(high, part["strong"].to_numpy())
                lent = rows.select([*plan.input_names, PLACE]).take(pa.array(places))
                for column in lent.column_names:
                    part = part.append_column(column, lent[column])
                file.append(part, buckets(part["weak"].to_numpy(), plan.num_buckets))


def _compare(plan: Plan, bucket: int) -> Compared:
    counts = Counts()
    pairs = _gathered(plan, "lent", bucket)
    dropped: list[pa.Table] = [_none_dropped()]
    for split in plan.given:
        if pairs is None or split == "test":
            continue
        some = pairs.filter(pa.array(pairs["weak_side"].to_numpy() == NUMBERS[split]))
        rows = _inputs(plan, bucket, split)
        places = np.searchsorted(ids(rows)[0], some["weak"].to_numpy())
        some = some.filter(pa.array(_alike(plan, rows, places, some)))
        high = np.unique(some["weak"].to_numpy())
        _count(plan, split, some, _all_rows(plan, bucket, split), counts)
        sides = np.full(len(high), NUMBERS[split], np.int8)
        dropped.append(pa.table({ID_HIGH: high, "side": sides}))
    write_rows(plan.work_dir, "near", str(bucket), pa.concat_tables(dropped))
    return Compared(tally=counts.tally())


def _alike(plan: Plan, rows: pa.Table, places: Numbers, pairs: pa.Table) -> Mask:
    """Tell which pairs reach the threshold; the weak row of each stands at a place of `rows`."""
    rules = plan.recipe.data.cleaning.near_duplicates
    assert rules is not None, "near-duplicates are looked for"
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), SLICE_ROWS):
        stop = min(len(pairs), start + SLICE_ROWS)
        weak = rows.take(pa.array(places[start:stop]))
        strong = pairs.slice(start, stop - start)
        first, second = (
            shingle(_texts(plan, table), rules.shingle_words) for table in (weak, strong)
        )
        alike[start:stop] = [
            jaccard(first.of_row(row), second.of_row(row)) >= rules.threshold
            for row in range(stop - start)
        ]
    return alike


def _count(plan: Plan, split: SplitName, pairs: pa.Table, rows: pa.Table, counts: Counts) -> None:
    """Count the rows that go, each under the strongest row that it is near."""
    weak, side = pairs["weak"].to_numpy(), pairs["strong_side"].to_numpy()
    order = np.lexsort((pairs["strong"].to_numpy(), -side, weak))
    pairs = pairs.take(pa.array(order))
    high, first = np.unique(pairs["weak"].to_numpy(), return_index=True)
    pairs = pairs.take(pa.array(first))
    places = np.searchsorted(high, ids(rows)[0])
    gone = np.isin(ids(rows)[0], high)
    copies = np.zeros(len(high), np.int64)
    np.add.at(copies, places[gone], rows[COPIES].to_numpy()[gone])
    sides = pairs["strong_side"].to_numpy()
    shown = rows.filter(pa.array(gone & first_of_inputs(ids(rows)[0])))[PLACE].to_numpy()
    for number in np.unique(sides).tolist():
        mask, other = sides == number, NAMES[number]
        reason = "near-duplicates" if other == split else f"near-duplicates in {other}"
        counts.dropped[reason] += int(copies[mask].sum())
        if other != split:
            counts.contamination[f"{split} rows nearly in {other}"] += int(mask.sum())
        some = np.flatnonzero(mask)[:MAX_EXAMPLES]
        ones = map(plan.view.place_name, shown[some].tolist())
        others = map(plan.view.place_name, pairs[PLACE].to_numpy()[some].tolist())
        both = zip(ones, others, strict=True)
        counts.add_examples(reason, [f"{one} nearly repeats {two}" for one, two in both])


def _kept(plan: Plan, key: str, bucket: int, write: Callable[[Plan, int], None]) -> Compared:
    def make() -> Compared:
        write(plan, bucket)
        return Compared()

    files = [f"{key}/{bucket}.arrow", f"{key}/{bucket}.npy"]
    return kept(plan.work_dir, f"{key}-{bucket}", Compared, lambda _: files, make)


def _gathered(plan: Plan, key: str, bucket: int) -> pa.Table | None:
    """Read what all buckets laid into this one."""
    parts = [
        read_bucket(plan.work_dir, key, str(other), bucket) for other in range(plan.num_buckets)
    ]
    there = [part for part in parts if part is not None]
    return pa.concat_tables(there).combine_chunks() if there else None


def _all_rows(plan: Plan, bucket: int, split: SplitName) -> pa.Table:
    return read_rows_of(plan.work_dir, "clean", f"{bucket}-{split}")


def _inputs(plan: Plan, bucket: int, split: SplitName) -> pa.Table:
    """Read the clean rows of a bucket, one for all with the same inputs."""
    rows = _all_rows(plan, bucket, split)
    return rows.filter(pa.array(first_of_inputs(ids(rows)[0])))


def _texts(plan: Plan, rows: pa.Table) -> list[pa.ChunkedArray]:
    """Give the input columns as plain text."""
    return [plain_texts(rows[column.name], column.kind) for column in plan.columns.inputs]


def _none_dropped() -> pa.Table:
    return pa.schema([(ID_HIGH, pa.uint64()), ("side", pa.int8())]).empty_table()
