"""What became of rows, counted by reason with examples; who drops and who shows stands elsewhere.

A tally is made for every source and bucket; added up they are the cleaning report.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from configs.outside_text import shortened
from trainers.data.cells import IMAGE_BYTES
from trainers.data.store import FROZEN

MAX_EXAMPLES = 20
EXAMPLE_CHARACTERS = 120
IMAGE = "<image>"
PLACE = "thaw.place"
ROW_BITS = np.uint64(40)
"""A place is the number of the source, shifted, and the number of the row in it, from 1."""

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Tally(BaseModel):
    """Rows of one part of the data that were not kept, or not as they came."""

    model_config = FROZEN
    duplicates: int = 0
    dropped: dict[str, int] = {}
    changed: dict[str, int] = {}
    conflicts: int = 0
    contamination: dict[str, int] = {}
    examples: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class View:
    """How rows are shown to a person."""

    columns: tuple[str, ...]
    """Input columns and, last, the target column where there is one."""
    names: tuple[str, ...]
    """Name of each source, by its number."""

    def place_name(self, place: int) -> str:
        """Name a place: file and row."""
        bits = int(ROW_BITS)
        return f"{self.names[place >> bits]} row {place & ((1 << bits) - 1)}"

    def first_place(self, rows: pa.Table, mask: Mask) -> str:
        """Name the place of the first row under the mask."""
        return self.place_name(rows[PLACE][int(np.flatnonzero(mask)[0])].as_py())

    def show(self, rows: pa.Table, mask: Mask) -> list[str]:
        """Show place and values of the first few rows under the mask."""
        few = rows.take(pa.array(np.flatnonzero(mask)[:MAX_EXAMPLES]))
        values = zip(*(few[name].to_pylist() for name in self.columns), strict=True)
        return [
            f"{self.place_name(place)}: "
            + shortened(" | ".join(map(shown_text, row)), EXAMPLE_CHARACTERS)
            for place, row in zip(few[PLACE].to_pylist(), values, strict=True)
        ]


@dataclass
class Counts:
    """A tally while rows are counted."""

    duplicates: int = 0
    conflicts: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    contamination: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add_examples(self, reason: str, texts: Sequence[str]) -> None:
        """Keep the first examples of a reason."""
        if texts:
            kept = self.examples.setdefault(reason, [])
            kept.extend(texts[: MAX_EXAMPLES - len(kept)])

    def tally(self) -> Tally:
        """Give what was counted."""
        return Tally(
            duplicates=self.duplicates,
            conflicts=self.conflicts,
            dropped=_counted(self.dropped),
            changed=_counted(self.changed),
            contamination=_counted(self.contamination),
            examples={reason: tuple(texts) for reason, texts in sorted(self.examples.items())},
        )


def add_tallies(parts: Sequence[Tally]) -> Tally:
    """Add parts up; examples stay in the order of the parts, as many as one part may have."""
    counts = Counts()
    for part in parts:
        counts.duplicates += part.duplicates
        counts.conflicts += part.conflicts
        counts.dropped.update(part.dropped)
        counts.changed.update(part.changed)
        counts.contamination.update(part.contamination)
        for reason, texts in part.examples.items():
            counts.add_examples(reason, texts)
    return counts.tally()


def places(number: int, first_row: int, count: int) -> pa.Array:
    """Give the places of rows in a source, the first of which has the number `first_row`."""
    rows = np.arange(first_row, first_row + count, dtype=np.uint64)
    return pa.array((np.uint64(number) << ROW_BITS) | rows)


def shown_text(text: str) -> str:
    """Give what a person sees of a cell: the bytes of an image show nothing."""
    return IMAGE if text.startswith(IMAGE_BYTES) else shortened(text, EXAMPLE_CHARACTERS)


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}
