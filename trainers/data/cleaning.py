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
from configs.task_columns import Column, Columns
from trainers.data.cells import EMPTY_LIST, class_names, empty_text, json_text
from trainers.data.label_readings import Readings
from trainers.data.report import MAX_EXAMPLES, Counts, Mask, shown_text

WRITTEN = ("text", "words", "json")
"""Kinds of columns in which people write."""
NOTHING: dict[str, tuple[str, ...]] = {
    "words": ("", EMPTY_LIST),
    "tags": ("", EMPTY_LIST),
    "json": ("", EMPTY_LIST, "{}"),
}
"""What is no value in a column, by its kind; "" in others."""
CONTROL = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F\\x{80}-\\x{9F}]"
"""C0 and C1 control characters but tab, line feed and carriage return, for RE2."""
CONTROL_IN_JSON = r"([^\\](?:\\\\)*)(?:\\u00(?:0[0-7bef]|1[0-9a-f])|\\[bf])+"
"""Those of them that JSON writes behind a backslash, with what stands before."""


@dataclass(frozen=True)
class Cleaner:
    """Cleans the blocks of one source, one after another."""

    rules: Cleaning
    columns: Columns
    labels: tuple[str, ...] | None
    """The labels that there may be; None allows all."""
    place: str
    """Name of the source."""
    counts: Counts

    def clean(self, block: pa.Table, first_row: int) -> tuple[pa.Table, Mask]:
        """Clean a block whose first row has the number `first_row`; also tell which rows stayed.

        Raises DataError, naming file and row, where the rules say fail.
        """
        for column in self.columns.all:
            if column.kind in WRITTEN:
                block = self._normalised(block, column)
        target = self.columns.target
        if target is not None and target.has_classes:
            read = self._readings(target).read(block[target.name], first_row)
            block = block.set_column(block.column_names.index(target.name), target.name, read)
        keep = np.ones(block.num_rows, bool)
        for column in self.columns.all:
            block = self._without_missing(block, column, keep, first_row)
        for column in self.columns.all:
            if column.kind == "text":
                self._check_length(block, column, keep, first_row)
        if target is not None and target.has_classes:
            self._check_labels(block, target, keep, first_row)
        return (block if keep.all() else block.filter(pa.array(keep))), keep

    def _readings(self, target: Column) -> Readings:
        missing = self.rules.missing_words
        return Readings(target, self.labels, missing, self.place, self.counts.changed)

    def _normalised(self, block: pa.Table, column: Column) -> pa.Table:
        values = block[column.name]
        if self.rules.control_characters == "strip":
            stripped = pc.replace_substring_regex(values, CONTROL, "")
            if column.kind != "text":
                stripped = pc.replace_substring_regex(stripped, CONTROL_IN_JSON, r"\1")
            changed = pc.sum(pc.not_equal(stripped, values)).as_py() or 0
            self.counts.changed[f"control characters in {column.name} removed"] += changed
            values = stripped
        if self.rules.unicode == "nfc":
            normal = pc.utf8_normalize(values, form="NFC")
            changed = pc.sum(pc.not_equal(normal, values)).as_py() or 0
            self.counts.changed[f"{column.name} written in NFC"] += changed
            values = normal
        return block.set_column(block.column_names.index(column.name), column.name, values)

    def _without_missing(
        self, block: pa.Table, column: Column, keep: Mask, first_row: int
    ) -> pa.Table:
        values, name = block[column.name], column.name
        trimmed = pc.utf8_trim_whitespace(values)
        nothing = pa.array(NOTHING.get(column.kind, ("",)), pa.string())
        no_value = pc.or_(pc.is_null(values), pc.is_in(trimmed, value_set=nothing))
        empty = no_value.to_numpy() & keep
        if not empty.any():
            return block
        fill = self._fill(column)
        if not column.may_be_empty and self.rules.missing == "fail":
            row = first_row + int(np.flatnonzero(empty)[0])
            raise DataError(
                f"{self.place} row {row}: column {name} is empty. Fill it, or set "
                "data.cleaning.missing to drop or fill"
            )
        if fill is None:
            self._drop(f"missing {name}", empty, keep, first_row)
            return block
        if not column.may_be_empty:
            self.counts.changed[f"missing {name} filled"] += int(empty.sum())
        filled = pc.if_else(pa.array(empty), fill, values)
        return block.set_column(block.column_names.index(name), name, filled)

    def _fill(self, column: Column) -> str | None:
        """Give what is written in the place of a missing cell; None where its row goes."""
        if column.may_be_empty:
            return empty_text(column)
        if self.rules.missing != "fill":
            return None
        label = self.rules.fill_label
        if column.kind == "labels":
            return None if label is None else json_text([label])
        if column.kind == "label":
            return label
        return self.rules.fill_text if column.kind == "text" else None

    def _check_length(self, block: pa.Table, column: Column, keep: Mask, first_row: int) -> None:
        name = column.name
        least, most = self.rules.min_characters, self.rules.max_characters
        if least == 1 and most is None:
            return
        lengths = pc.fill_null(pc.utf8_length(block[name]), 0).to_numpy()
        short = (lengths < least) & keep
        if column.may_be_empty:
            short &= lengths > 0
        self._drop(f"too short {name}", short, keep, first_row, block[name])
        if most is not None:
            long = (lengths > most) & keep
            self._drop(f"too long {name}", long, keep, first_row, block[name])

    def _check_labels(self, block: pa.Table, target: Column, keep: Mask, first_row: int) -> None:
        if self.labels is None:
            return
        labels = block[target.name]
        unknown = ~self._are_known(labels, target) & keep
        if not unknown.any():
            return
        if self.rules.unknown_labels == "fail":
            place = int(np.flatnonzero(unknown)[0])
            found = class_names(labels[place].as_py(), target.kind)
            name = next(name for name in found if name not in self.labels)
            raise DataError(
                f"{self.place} row {first_row + place}: label {name!r} in column "
                f"{target.name} is not in task.labels. Add it there, remove its rows, or set "
                "data.cleaning.unknown_labels to drop"
            )
        self._drop("unknown label", unknown, keep, first_row, labels)

    def _are_known(self, labels: pa.ChunkedArray, target: Column) -> Mask:
        """Tell which rows have none but labels that were asked for."""
        known = set(self.labels or ())
        if target.kind == "label":
            asked = [*known, *([""] if target.may_be_empty else [])]
            return np.asarray(pc.is_in(labels, value_set=pa.array(asked, pa.string())).to_numpy())
        texts = (text or "" for text in labels.to_pylist())
        return np.array([known.issuperset(class_names(text, target.kind)) for text in texts], bool)

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
            f": {shown_text(values[number].as_py())}" if values is not None else ""
            for number in numbers
        ]
        rows = zip(numbers, shown, strict=True)
        self.counts.add_examples(
            reason, [f"{self.place} row {first_row + number}{text}" for number, text in rows]
        )
        keep &= ~mask
