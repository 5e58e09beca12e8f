"""Read labels as people mean them: without blanks around them, 1.0 as 1, places as names.

Works on whole columns of text; rows are parsed one by one only where something is to be read. Each
reading is counted. What may be read in two ways raises DataError.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError
from configs.task_columns import Column
from trainers.data.cells import json_text

WHOLE = re.compile(r"([-+]?[0-9]+)[.]0+")
PLACE = re.compile(r"0|[1-9][0-9]*")
VECTOR = r"^\[[01](,[01])+\]$"
"""How a list of nothing but 0 and 1 is carried, that may be a vector of marks."""
AS_WHOLE = "written like 1.0 read as whole numbers"
ODD = r'"\s|\s"|"[-+]?[0-9]+(\.0+)?"'
"""What in a list of labels there may be something to read in."""


@dataclass(frozen=True)
class Readings:
    """How the labels of a target column are read."""

    column: Column
    names: tuple[str, ...] | None
    """The labels that were asked for: what is called as one of them stays as it is."""
    missing: tuple[str, ...]
    """Words that stand for no label."""
    place: str
    """Name of the source."""
    changed: Counter[str]
    """Rows by what was read in them, added to."""

    def read(self, values: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
        """Read the labels of a block, null where a word stands for none."""
        if self.column.kind == "label":
            return self._read_labels(values)
        self._refuse_vectors(values, first_row)
        odd = pc.fill_null(pc.match_substring_regex(values, VECTOR + "|" + self._odd()), False)
        if not pc.any(odd).as_py():
            return values
        read = [
            self._read_list(text) if is_odd else text
            for text, is_odd in zip(values.to_pylist(), odd.to_pylist(), strict=True)
        ]
        return pa.chunked_array([pa.array(read, pa.string())])

    @property
    def _numbers_are_places(self) -> bool:
        """Whether a number can only be the place of a name."""
        return bool(self.names) and not any(PLACE.fullmatch(name) for name in self.names or ())

    def _odd(self) -> str:
        words = "|".join(re.escape(word) for word in self.missing if word)
        return f'{ODD}|"({words})"' if words else ODD

    def _read_labels(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        distinct = pc.unique(values)
        texts = distinct.to_pylist()
        read = [text if text is None else self._read_one(text)[0] for text in texts]
        if read == texts:
            return values
        for count in pc.value_counts(values).to_pylist():
            text = count["values"]
            how = self._read_one(text)[1] if text is not None else None
            if how is not None:
                self.changed[how] += count["counts"]
        places = pc.index_in(values, value_set=distinct)
        return pa.chunked_array([pa.array(read, pa.string()).take(places.combine_chunks())])

    def _read_list(self, text: str) -> str:
        items = json.loads(text)
        if items and not isinstance(items[0], str):
            marked = [name for name, mark in zip(self.names or (), items, strict=True) if mark]
            self.changed["vectors of 0 and 1 read as the labels that they mark"] += 1
            return json_text(sorted(marked))
        found = [self._read_one(item) for item in items]
        self.changed.update({how for _, how in found if how is not None})
        names = [name for name, _ in found]
        if self.column.kind == "tags":
            pairs = zip(names, items, strict=True)
            return json_text([item if name is None else name for name, item in pairs])
        return json_text(sorted({name for name in names if name is not None}))

    def _read_one(self, text: str) -> tuple[str | None, str | None]:
        """Give a label as it is meant, and what was read in it, if anything was."""
        name = self.column.name
        if self.names is not None and text in self.names:
            return text, None
        plain = text.strip()
        if self.names is not None and plain in self.names:
            return plain, f"{name} with blanks around it read without"
        if plain in self.missing:
            return None, f"{name} {plain} read as none" if plain else None
        if (whole := WHOLE.fullmatch(plain)) is not None:
            plain = whole[1]
        names = self.names or ()
        is_place = self._numbers_are_places and PLACE.fullmatch(plain) is not None
        if is_place and int(plain) < len(names):
            return names[int(plain)], f"{name} read as places in task.labels"
        if whole is not None:
            return plain, f"{name} {AS_WHOLE}"
        return plain, f"{name} with blanks around it read without" if plain != text else None

    def _refuse_vectors(self, values: pa.ChunkedArray, first_row: int) -> None:
        """Raise DataError for vectors of 0 and 1 that may be lists of labels as well."""
        are_vectors = pc.fill_null(pc.match_substring_regex(values, VECTOR), False)
        if not pc.any(are_vectors).as_py():
            return
        for row in np.flatnonzero(are_vectors.to_numpy()).tolist():
            text = values[row].as_py()
            count = text.count(",") + 1
            if not self._numbers_are_places or count != len(self.names or ()):
                raise DataError(
                    f"{self.place} row {first_row + row}: column {self.column.name} is {text}, "
                    f"which may be the labels 0 and 1, or a vector of {count} marks. List the "
                    f"{count} names in task.labels, or write labels as strings"
                )


def refuse_mixed(names: tuple[str, ...], changed: Mapping[str, int], column: str) -> None:
    """Raise DataError where 1.0 was read as 1 and there are labels that are no whole numbers."""
    count = changed.get(f"{column} {AS_WHOLE}", 0)
    other = next((name for name in names if not re.fullmatch(r"[-+]?[0-9]+", name)), None)
    if count and other is not None:
        raise DataError(
            f"column {column} has {count:,} labels written like 1.0, and {other!r}: are they "
            "numbers, or names such as versions? List the names in task.labels, or write whole "
            "numbers without a point"
        )
