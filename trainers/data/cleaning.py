"""Which rows are kept and on which side of the split; pure functions over tables of text columns.

A cleaned row has the columns of the task and, beside them, the two halves of its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainers.data.row_ids import Hashes, draws
from trainers.data.store import SPLITS, SplitName

ID_HIGH, ID_LOW = "thaw.id_high", "thaw.id_low"
MAX_EXAMPLES = 20
EXAMPLE_CHARACTERS = 120

Examples = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Kept:
    """Rows that stay and what became of the others."""

    rows: dict[SplitName, pa.Table]
    """Sorted by row id."""
    duplicates: int
    dropped: dict[str, int]
    conflicts: int
    examples: Examples


def drop_missing(
    block: pa.Table, columns: Sequence[str], place: str, first_row: int
) -> tuple[pa.Table, dict[str, int], Examples]:
    """Drop rows with nothing but white space in a column; also count them by reason.

    Examples name `place` and the row's number, where the block's first row has number `first_row`.
    """
    keep = np.ones(block.num_rows, bool)
    dropped: dict[str, int] = {}
    examples: Examples = {}
    for name in columns:
        trimmed = pc.utf8_trim_whitespace(block[name])
        empty = pc.fill_null(pc.equal(trimmed, ""), True).to_numpy() & keep
        if empty.any():
            reason = f"missing {name}"
            numbers = np.flatnonzero(empty)
            dropped[reason] = len(numbers)
            examples[reason] = tuple(
                f"{place} row {first_row + number}" for number in numbers[:MAX_EXAMPLES]
            )
            keep &= ~empty
    return (block if keep.all() else block.filter(pa.array(keep))), dropped, examples


def clean_rows(
    rows: dict[SplitName, pa.Table], columns: Sequence[str], shares: dict[SplitName, float]
) -> Kept:
    """Clean all rows with the same leading id bits: sort, drop duplicates, split off the shares.

    Rows given for validation or test stay as they are; training rows whose inputs are also there
    are dropped. A share is taken by the inputs' hash: the same text is never on two sides.
    """
    rows = {split: _sorted_by_id(table) for split, table in rows.items()}
    train = rows.pop("train")
    high, low = _ids(train)
    same_inputs = high[1:] == high[:-1]
    duplicate = np.concatenate([[False], same_inputs & (low[1:] == low[:-1])])[: len(high)]
    drops = {"duplicates": duplicate}
    taken = duplicate
    for split in ("test", "validation"):
        if split in rows:
            leaked = np.isin(high, _ids(rows[split])[0]) & ~taken
            drops[f"also in {split}"] = leaked
            taken = taken | leaked
    examples = {reason: _examples(train, columns, mask) for reason, mask in drops.items()}
    train = train.filter(pa.array(~taken))
    high, _ = _ids(train)
    conflict = np.zeros(len(high), bool)
    conflict[1:] |= high[1:] == high[:-1]
    conflict[:-1] |= high[1:] == high[:-1]
    examples["conflicts"] = _examples(train, columns, conflict)
    counts = {reason: int(mask.sum()) for reason, mask in drops.items()}
    return Kept(
        rows={**rows, **_shared_out(train, high, shares)},
        duplicates=counts.pop("duplicates"),
        dropped={reason: count for reason, count in counts.items() if count},
        conflicts=int(conflict.sum()),
        examples={reason: texts for reason, texts in examples.items() if texts},
    )


def merge_examples(parts: Sequence[Examples]) -> Examples:
    """Put the examples of several parts together, as many as one part may have."""
    merged: dict[str, list[str]] = {}
    for part in parts:
        for reason, texts in part.items():
            merged.setdefault(reason, []).extend(texts)
    return {reason: tuple(texts[:MAX_EXAMPLES]) for reason, texts in sorted(merged.items())}


def _shared_out(
    train: pa.Table, high: Hashes, shares: dict[SplitName, float]
) -> dict[SplitName, pa.Table]:
    """Deal the training rows to the splits that take a share of them."""
    drawn, start = draws(high), 0.0
    sides: dict[SplitName, pa.Table] = {}
    for split in SPLITS:
        if split in shares:
            inside = (drawn >= start) & (drawn < start + shares[split])
            sides[split] = train.filter(pa.array(inside))
            start += shares[split]
    return {"train": train.filter(pa.array(drawn >= start)), **sides}


def _sorted_by_id(table: pa.Table) -> pa.Table:
    high, low = _ids(table)
    return table.take(pa.array(np.lexsort((low, high))))


def _ids(table: pa.Table) -> tuple[Hashes, Hashes]:
    return table[ID_HIGH].to_numpy(), table[ID_LOW].to_numpy()


def _examples(table: pa.Table, columns: Sequence[str], mask: np.ndarray) -> tuple[str, ...]:
    """Show the values of the first few rows under the mask."""
    rows = table.take(pa.array(np.flatnonzero(mask)[:MAX_EXAMPLES]))
    values = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    return tuple(" | ".join(row)[:EXAMPLE_CHARACTERS] for row in values)
