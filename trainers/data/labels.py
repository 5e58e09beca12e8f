"""Which labels a prepared set has, in which order; how rows come to have them stands elsewhere."""

import re
from collections.abc import Mapping

from configs.errors import DataError
from trainers.data.store import SplitName

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")

LabelCounts = Mapping[SplitName, Mapping[str, int]]
"""Rows of each label in each split."""


def choose_label_names(asked: tuple[str, ...] | None, counts: LabelCounts) -> tuple[str, ...]:
    """Give the label names in order: those asked for, else those of the training rows, sorted.

    Integers are sorted as integers. Raises DataError for a label that training never sees, or that
    is not among those asked for, and where there are fewer than two labels.
    """
    known = asked if asked is not None else tuple(sorted(counts["train"], key=str))
    for split, labels in counts.items():
        for label in sorted(set(labels) - set(known)):
            raise DataError(_unknown(label, labels[label], split, asked))
    if len(known) < 2:
        raise DataError(
            f"the training rows have one label only ({', '.join(known)}). "
            "Add rows with another label, or check the label column"
        )
    if asked is None and all(INTEGER.fullmatch(name) for name in known):
        return tuple(sorted(known, key=int))
    return known


def _unknown(label: str, count: int, split: str, asked: tuple[str, ...] | None) -> str:
    rows = "1 row" if count == 1 else f"{count} rows"
    if asked is not None:
        return (
            f"label {label!r} ({rows} of {split}) is not in task.labels. "
            "Add it there, or remove its rows"
        )
    return (
        f"label {label!r} is in {rows} of {split} and in no training row. "
        "Add training rows with it, remove those rows, or list all labels in task.labels"
    )
