"""Compare rows with the same inputs: duplicates, conflicts, rows of one split found in another.

Pure functions over tables of one bucket; a row with its id, its place and how often it came.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from configs.errors import DataError
from trainers.data.plan import EXTRA
from trainers.data.report import PLACE, ROW_BITS, Counts, Mask, Tally, View
from trainers.data.row_ids import Hashes
from trainers.data.store import SplitName

ID_HIGH, ID_LOW, COPIES = "thaw.id_high", "thaw.id_low", "thaw.copies"
HOLDS_OUT: tuple[SplitName, ...] = ("test", "validation", "train")
"""A row that is in two of them stays in the first."""

Rows = dict[SplitName, pa.Table]


@dataclass(frozen=True)
class Kept:
    """Rows that stay and what became of the others."""

    rows: Rows
    """Sorted by row id; equal training rows are there once, other ones as often as they came."""
    tally: Tally


def combine(rows: pa.Table, *, across_sources: bool) -> pa.Table:
    """Put equal rows together, sorted by id, with their number; the first by group or time stays.

    Where rows are not split by these, the first by place stays.
    """
    high, low = ids(rows)
    place = rows[PLACE].to_numpy()
    extra = (rows[EXTRA].to_numpy(),) if EXTRA in rows.column_names else ()
    order = np.lexsort((place, *extra, low, high) if across_sources else (place, low, high))
    high, low, source = high[order], low[order], place[order] >> ROW_BITS
    first = np.ones(len(order), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    if not across_sources:
        first[1:] |= source[1:] != source[:-1]
    copies = rows[COPIES].to_numpy()[order]
    starts = np.flatnonzero(first)
    summed = np.add.reduceat(copies, starts) if len(starts) else copies
    kept = rows.take(pa.array(order[starts]))
    return kept.set_column(kept.column_names.index(COPIES), COPIES, pa.array(summed))


def clean_rows(rows: Rows, view: View, conflicts: str) -> Kept:
    """Clean all rows with the same leading id bits.

    Of equal training rows one stays. Training rows whose inputs are also among the rows given for
    validation or test are dropped, and validation rows that are also in test; test rows stay as
    they are. `conflicts` says what happens to training rows with the same inputs and different
    targets: keep, drop, majority (of all copies) or fail, which raises DataError. Without training
    rows all stay.
    """
    counts = Counts()
    combined = {
        split: combine(table, across_sources=split == "train") for split, table in rows.items()
    }
    if "train" not in combined:
        return Kept(combined, counts.tally())
    train = combined["train"]
    copies = train[COPIES].to_numpy()
    repeated = copies > 1
    counts.duplicates = int(copies.sum()) - len(train)
    counts.add_examples("duplicates", view.show(train, repeated))
    held: list[Hashes] = []
    for split in HOLDS_OUT:
        if split in combined:
            combined[split] = _without(combined[split], held, split, view, counts)
            held.append(ids(combined[split])[0])
    train = _settle_conflicts(combined["train"], view, conflicts, counts)
    once = pa.array(np.ones(len(train), np.int64))
    combined["train"] = train.set_column(train.column_names.index(COPIES), COPIES, once)
    return Kept({split: combined[split] for split in rows}, counts.tally())


def drop_leaks(rows: Rows, view: View) -> Kept:
    """Drop rows that were dealt to one split and have the same inputs as rows dealt to another."""
    counts = Counts()
    held: Rows = {}
    for split in HOLDS_OUT:
        if split in rows:
            kept = rows[split]
            for other, table in held.items():
                leaked = np.isin(ids(kept)[0], ids(table)[0])
                kept = _drop(kept, leaked, f"also in {other}", view, counts)
            held[split] = kept
    return Kept({split: held[split] for split in rows}, counts.tally())


def ids(table: pa.Table) -> tuple[Hashes, Hashes]:
    """Give the two halves of the rows' ids."""
    return table[ID_HIGH].to_numpy(), table[ID_LOW].to_numpy()


def _without(
    rows: pa.Table, held: list[Hashes], split: SplitName, view: View, counts: Counts
) -> pa.Table:
    """Drop the rows of a file whose inputs are in the files held out before it."""
    for other, inputs in zip(HOLDS_OUT, held, strict=False):
        leaked = np.isin(ids(rows)[0], inputs)
        copies = int(rows[COPIES].to_numpy()[leaked].sum()) if split != "train" else None
        counts.contamination[f"{split} rows also in {other}"] += int(leaked.sum())
        rows = _drop(rows, leaked, f"also in {other}", view, counts, num_rows=copies)
    return rows


def _settle_conflicts(rows: pa.Table, view: View, conflicts: str, counts: Counts) -> pa.Table:
    high = ids(rows)[0]
    same = high[1:] == high[:-1]
    conflict = np.zeros(len(high), bool)
    conflict[1:] |= same
    conflict[:-1] |= same
    counts.conflicts = int(conflict.sum())
    counts.add_examples("conflicts", view.show(rows, conflict))
    if conflicts == "keep" or not conflict.any():
        return rows
    if conflicts == "fail":
        raise DataError(_conflict(rows.slice(int(np.flatnonzero(conflict)[0]), 2), view))
    if conflicts == "majority":
        conflict &= ~_winners(high, rows[COPIES].to_numpy())
    return _drop(rows, conflict, "conflicting label", view, counts)


def _winners(high: Hashes, copies: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Mask:
    """Tell which rows have more copies than every other row with the same inputs."""
    starts = np.flatnonzero(np.concatenate([[True], high[1:] != high[:-1]]))
    sizes = np.diff([*starts, len(high)])
    most = np.repeat(np.maximum.reduceat(copies, starts), sizes)
    top = copies == most
    alone = np.repeat(np.add.reduceat(top.astype(np.int64), starts) == 1, sizes)
    return np.asarray(top & alone)


def _conflict(rows: pa.Table, view: View) -> str:
    first, second = (view.place_name(place) for place in rows[PLACE].to_pylist())
    labels = rows[view.columns[-1]].to_pylist()
    return (
        f"{first} and {second} have the same input and the labels {labels[0]!r} and {labels[1]!r} "
        f"in column {view.columns[-1]}. Correct one, or set data.cleaning.conflicts to keep, drop "
        "or majority"
    )


def _drop(
    rows: pa.Table,
    mask: Mask,
    reason: str,
    view: View,
    counts: Counts,
    *,
    num_rows: int | None = None,
) -> pa.Table:
    """Drop the rows under the mask and count them."""
    if not mask.any():
        return rows
    counts.dropped[reason] += int(mask.sum()) if num_rows is None else num_rows
    counts.add_examples(reason, view.show(rows, mask))
    return rows.filter(pa.array(~mask))
