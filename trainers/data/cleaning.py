"""Clean blocks of rows as they are read, each row by itself; rows are compared elsewhere.

What is dropped is counted by reason, with file and row of the first few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from trainers.data.report import EXAMPLE_CHARACTERS, MAX_EXAMPLES, Counts, Mask

CONTROL = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F\\x{80}-\\x{9F}]"
"""C0 and C1 control characters but tab, line feed and carriage return, for RE2."""


@dataclass(frozen=True)
class Cleaner:
    """Cleans the blocks of one source, one after another."""

    rules: Cleaning
    inputs: tuple[str, ...]
    target: str
    labels: tuple[str, ...] | None
    """The labels that there may be; None allows all."""
    place: str
    """Name of the source."""
    counts: Counts

    def clean(self, block: pa.Table, first_row: int) -> tuple[pa.Table, Mask]:
        """Clean a block whose first row has the number `first_row`; also tell which rows stayed.

        Raises DataError, naming file and row, where the rules say fail.
        """
        for column in self.inputs:
            block = self._normalised(block, column)
        keep = np.ones(block.num_rows, bool)
        for column in (*self.inputs, self.target):
            block = self._without_missing(block, column, keep, first_row)
        for column in self.inputs:
            self._check_length(block, column, keep, first_row)
        self._check_labels(block, keep, first_row)
        return (block if keep.all() else block.filter(pa.array(keep))), keep

    def _normalised(self, block: pa.Table, column: str) -> pa.Table:
        values = block[column]
        if self.rules.control_characters == "strip":
            stripped = pc.replace_substring_regex(values, CONTROL, "")
            changed = pc.sum(pc.not_equal(stripped, values)).as_py() or 0
            self.counts.changed[f"control characters in {column} removed"] += changed
            values = stripped
        if self.rules.unicode == "nfc":
            normal = pc.utf8_normalize(values, form="NFC")
            changed = pc.sum(pc.not_equal(normal, values)).as_py() or 0
            self.counts.changed[f"{column} written in NFC"] += changed
            values = normal
        return block.set_column(block.column_names.index(column), column, values)

    def _without_missing(
        self, block: pa.Table, column: str, keep: Mask, first_row: int
    ) -> pa.Table:
        values = block[column]
        empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True).to_numpy()
        empty = empty & keep
        if not empty.any():
            return block
        if self.rules.missing == "fail":
            row = first_row + int(np.flatnonzero(empty)[0])
            raise DataError(
                f"{self.place} row {row}: column {column} is empty. Fill it, or set "
                "data.cleaning.missing to drop or fill"
            )
        is_target = column == self.target
        fill = self.rules.fill_label if is_target else self.rules.fill_text
        if self.rules.missing == "fill" and fill is not None:
            self.counts.changed[f"missing {column} filled"] += int(empty.sum())
            filled = pc.if_else(pa.array(empty), fill, values)
            return block.set_column(block.column_names.index(column), column, filled)
        self._drop(f"missing {column}", empty, keep, first_row)
        return block

    def _check_length(self, block: pa.Table, column: str, keep: Mask, first_row: int) -> None:
        least, most = self.rules.min_characters, self.rules.max_characters
        if least == 1 and most is None:
            return
        lengths = pc.fill_null(pc.utf8_length(block[column]), 0).to_numpy()
        short = (lengths < least) & keep
        self._drop(f"too short {column}", short, keep, first_row, block[column])
        if most is not None:
            long = (lengths > most) & keep
            self._drop(f"too long {column}", long, keep, first_row, block[column])

    def _check_labels(self, block: pa.Table, keep: Mask, first_row: int) -> None:
        if self.labels is None:
            return
        labels = block[self.target]
        known = pc.is_in(labels, value_set=pa.array(self.labels, pa.string())).to_numpy()
        unknown = ~known & keep
        if not unknown.any():
            return
        if self.rules.unknown_labels == "fail":
            place = int(np.flatnonzero(unknown)[0])
            raise DataError(
                f"{self.place} row {first_row + place}: label {labels[place].as_py()!r} in column "
                f"{self.target} is not in task.labels. Add it there, remove its rows, or set "
                "data.cleaning.unknown_labels to drop"
            )
        self._drop("unknown label", unknown, keep, first_row, labels)

    def _drop(
        self,
        reason: str,
        mask: Mask,
        keep: Mask,
        first_row: int,
        values: pa.ChunkedArray | None = None,
    ) -> None:
        """Take the rows under the mask out of `keep` and count them."""
        self.counts.dropped[reason] += int(mask.sum())
        numbers: Sequence[int] = np.flatnonzero(mask)[:MAX_EXAMPLES].tolist()
        shown = [
            f": {values[number].as_py()[:EXAMPLE_CHARACTERS]}" if values is not None else ""
            for number in numbers
        ]
        rows = zip(numbers, shown, strict=True)
        self.counts.add_examples(
            reason, [f"{self.place} row {first_row + number}{text}" for number, text in rows]
        )
        keep &= ~mask
