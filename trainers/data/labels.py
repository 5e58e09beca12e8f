"""Which labels a prepared set has, in which order; how rows come to have them stands elsewhere."""

import re
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError
from trainers import masking
from trainers.data.store import SplitName

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
MAX_LABELS = 50_000
FEW_LABELS = 1_000
"""More than so many labels, with less than two rows each, are taken for text."""
COUNTED_LABELS = 1_000_000

LabelCounts = Mapping[SplitName, Mapping[str, int]]
"""Rows of each label in each split."""
Find = Callable[[SplitName, str], str]
"""Gives file and row of a row of a split with a label."""


def choose_label_names(
    asked: tuple[str, ...] | None, counts: LabelCounts, find: Find
) -> tuple[str, ...]:
    """Give the label names in order: those asked for, else those of the training rows, sorted.

    Integers are sorted as integers. Raises DataError for a label that training never sees, or that
    is not among those asked for, and where there are fewer than two labels. `find` names a row.
    """
    known = asked if asked is not None else tuple(sorted(counts["train"], key=str))
    for split, labels in counts.items():
        for label in sorted(set(labels) - set(known)):
            raise DataError(_unknown(label, labels[label], find(split, label), asked, split))
    if len(known) < 2:
        raise DataError(
            f"the training rows have one label only ({', '.join(known)}). "
            "Add rows with another label, or check the label column"
        )
    if asked is None and all(INTEGER.fullmatch(name) for name in known):
        return tuple(sorted(known, key=int))
    return known


def known_label_names(
    known: tuple[str, ...], counts: Mapping[str, int], find: Callable[[str], str]
) -> tuple[str, ...]:
    """Return the label names of a run; raises DataError for a row with another. `find` names it."""
    for label in sorted(set(counts) - set(known)):
        rows = "1 row" if counts[label] == 1 else f"{counts[label]} rows"
        raise DataError(
            f"label {label!r} is in {rows} (such as {find(label)}), and the run's model does not "
            f"know it. Correct or remove them; it knows {_few(known)}"
        )
    return known


class Distinct:
    """Counts the different labels of a source while it is read; text in their place is refused."""

    def __init__(self, column: str, place: str, *, asked: bool) -> None:
        self._column, self._place, self._asked = column, place, asked
        self._seen: set[str] = set()
        self._rows = 0

    def add(self, labels: pa.ChunkedArray) -> None:
        """Take in more labels; raises DataError for far too many of them, and for secrets."""
        if masking.is_active():
            self._refuse_secrets(labels)
        if not self._asked:
            self._rows += len(labels)
            self._seen.update(pc.unique(labels).to_pylist())
            if len(self._seen) > COUNTED_LABELS:
                self.check()

    def _refuse_secrets(self, labels: pa.ChunkedArray) -> None:
        for label in pc.unique(labels).to_pylist():
            if label is not None and masking.masked(label) != label:
                raise DataError(
                    f"{self._place}: column {self._column} has the label {masking.masked(label)}, "
                    "where the stars stand for the value of a secret (cluster.secrets). Labels are "
                    "written into records, boards and exports: name it otherwise"
                )

    def check(self) -> None:
        """Raise DataError for more labels than there can be classes."""
        count = len(self._seen)
        if count > MAX_LABELS or (count > FEW_LABELS and 2 * count > self._rows):
            raise DataError(
                f"{self._place}: column {self._column} has {count:,} different values in "
                f"{self._rows:,} rows, which looks like text, not labels. Set task.label to the "
                "column with the labels, or list them all in task.labels"
            )


def label_notes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Say what is unusual about label names: integers with gaps between them."""
    if not names or not all(INTEGER.fullmatch(name) for name in names):
        return ()
    numbers = [int(name) for name in names]
    count = max(numbers) - min(numbers) + 1 - len(numbers)
    if not 0 < count <= MAX_LABELS:
        return ()
    missing = sorted(set(range(min(numbers), max(numbers))) - set(numbers))
    some = ", ".join(map(str, missing[:5])) + (", ..." if count > 5 else "")
    return (
        f"labels are integers from {min(numbers)} to {max(numbers)} without {some}: classes are "
        "numbered in their order, without gaps",
    )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _unknown(
    label: str, count: int, place: str, asked: tuple[str, ...] | None, split: SplitName
) -> str:
    rows = "1 row" if count == 1 else f"{count} rows"
    if asked is not None:
        return (
            f"label {label!r} ({rows} of {split}, such as {place}) is not in task.labels. "
            "Add it there, or remove its rows"
        )
    return (
        f"label {label!r} is in {rows} of {split} (such as {place}) and in no training row. "
        "Add training rows with it, remove those rows, or list all labels in task.labels"
    )
