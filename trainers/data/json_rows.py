"""Rows of JSON and JSON lines files; what they mean stands elsewhere.

Pieces of JSON lines that have just the types asked for are read by Arrow. Every other piece, and
every complaint, is left to Python's parser: it keeps any integer as it is and names the line.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from configs.errors import DataError
from trainers.data.cells import Asked, cell_text
from trainers.data.columns import Cells, block_rows, check_columns, tables_of
from trainers.data.json_values import begin, field_values, line_values, list_values
from trainers.data.text_streams import (
    READ_BYTES,
    Read,
    check_utf8,
    open_utf8,
    read_after,
    read_pieces,
)

FIRST_BLANK = re.compile(rb"[ \t\r]*(?:\n|\Z)")
BLANK = re.compile(rb"\n[ \t\r]*(?=\n|\Z)")
ARROW_TYPES: dict[str, tuple[pa.DataType, ...]] = {
    "text": (pa.string(),),
    "label": (pa.string(), pa.int64()),
    "key": (pa.string(), pa.int64()),
}
"""Types that Arrow reads as Python does, by kind, likeliest first; other kinds are Python's."""


def read_json_lines(
    path: Path, address: str, columns: Sequence[Asked], encoding: str = "utf-8"
) -> Iterator[pa.Table]:
    """Yield the columns asked for of a file with one JSON object a line, a block at a time.

    Raises DataError for any other line, a value of a wrong type, a label column that changes
    between strings and integers, and a column that no row has.
    """
    with open_utf8(path, address, encoding) as read:
        yield from _lines_of_objects(read, _Columns(address, columns))


def read_json(
    path: Path, address: str, columns: Sequence[Asked], encoding: str, field: str | None
) -> Iterator[pa.Table]:
    """Yield the columns of a JSON file: a list of objects, or one object a line.

    With `field` the file is one object, read as a whole, whose key of that name holds the list. A
    row of a list may also be a list of values, in the order of the columns.
    """
    rows = _Columns(address, columns)
    with open_utf8(path, address, encoding) as read:
        if field is not None:
            yield from rows.tables(rows.cells(field_values(read, address, field), "row {}"))
            return
        first, text = begin(read, address)
        if text[:1] == b"[":
            yield from rows.tables(rows.cells(list_values(text[1:], read, address), "row {}"))
        else:
            yield from _lines_of_objects(read_after(first, read), rows)


class _Columns:
    """Takes the columns asked for out of objects and remembers what was seen of them."""

    def __init__(self, address: str, columns: Sequence[Asked]) -> None:
        self.address, self.asked = address, columns
        self.columns = [each.name for each in columns]
        self._keys: dict[str, None] = {}
        self._label_kinds: dict[str, type] = {}
        self._types = list(product(*(ARROW_TYPES.get(each.kind, ()) for each in columns)))

    def cells(self, records: Iterator[Any], place: str) -> Iterator[Cells]:
        """Yield the cells of parsed rows; in the end raise DataError for a column none has."""
        for number, record in enumerate(records, 1):
            yield self.take(record, place.format(number))
        self.check()

    def take(self, record: Any, where: str) -> Cells:
        """Take the cells of one parsed row."""
        place = f"{self.address} {where}"
        if isinstance(record, list) and len(record) == len(self.columns):
            record = dict(zip(self.columns, record, strict=True))
        if not isinstance(record, dict):
            raise DataError(f"{place} is no JSON object. Write rows as objects, such as {{...}}")
        self._keys.update(dict.fromkeys(record))
        values = [(record.get(each.name), each) for each in self.asked]
        for value, each in values:
            if each.kind == "label":
                self.note_label(value, each.name, place)
        return tuple(cell_text(value, each, place) for value, each in values)

    def note_label(self, label: Any, column: str, place: str) -> None:
        """Raise DataError where labels change between strings and integers."""
        kind = type(label)
        if kind not in (str, int):
            return
        known = self._label_kinds.setdefault(column, kind)
        if kind is not known:
            names = {str: "strings", int: "integers"}
            raise DataError(
                f"{place}: column {column} changes from {names[known]} to "
                f"{names[kind]} ({str(label)[:40]!r}). Write all labels as one or the other"
            )

    def note_table(self, table: pa.Table, piece: bytes) -> None:
        """Remember which columns of a table have values; the keys of a row where one has none."""
        for name in self.columns:
            if table[name].null_count < table.num_rows:
                self._keys[name] = None
            elif name not in self._keys and table.num_rows:
                first = piece.lstrip().partition(b"\n")[0]
                self._keys.update(dict.fromkeys(json.loads(first)))

    def schemas(self) -> Iterator[pa.Schema]:
        """Give the types that Arrow may find here, likeliest first; none where it reads nothing."""
        known = {str: pa.string(), int: pa.int64()}
        for types in self._types:
            pairs = list(zip(self.columns, types, strict=True))
            kinds = self._label_kinds
            if all(known[kinds[name]] == kind for name, kind in pairs if name in kinds):
                yield pa.schema(pairs)

    def note_types(self, table: pa.Table) -> None:
        """Remember the types that were found."""
        for each in self.asked:
            column = table[each.name]
            if each.kind == "label" and column.null_count < table.num_rows:
                self.note_label(0 if column.type == pa.int64() else "", each.name, self.address)
        self._types.sort(key=lambda types: types != tuple(table.schema.types))

    def check(self) -> None:
        """Raise DataError for a column that no row has, where there are rows."""
        if self._keys:
            check_columns(self.address, self.columns, list(self._keys))

    def tables(self, rows: Iterator[Cells]) -> Iterator[pa.Table]:
        """Put rows together in tables of text."""
        yield from tables_of(rows, self.asked, self.address)


def _lines_of_objects(read: Read, rows: _Columns) -> Iterator[pa.Table]:
    num_lines = 0
    pieces = read_pieces(read, rows.address)
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        check_utf8(piece, rows.address, num_lines)
        table = _parse(piece, rows)
        if table is None:
            yield from rows.tables(_exact_lines(piece, num_lines, rows, last=following is None))
        else:
            rows.note_table(table, piece)
            if following is None:
                rows.check()  # before the last rows go on, where an absent column would look empty
            size = block_rows(rows.asked)
            for start in range(0, table.num_rows, size):
                yield table.slice(start, size).combine_chunks()
        num_lines += piece.count(b"\n")
        piece = following


def _parse(piece: bytes, rows: _Columns) -> pa.Table | None:
    """Read lines with Arrow; None where they are not just one object each with the types asked."""
    for schema in rows.schemas():
        try:
            table = pajson.read_json(
                pa.BufferReader(piece),
                read_options=pajson.ReadOptions(
                    use_threads=False, block_size=max(READ_BYTES, len(piece))
                ),
                parse_options=pajson.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            continue
        if table.num_rows != _num_objects(piece) or table.column_names != rows.columns:
            return None
        rows.note_types(table)
        return table.cast(pa.schema([(name, pa.string()) for name in rows.columns]))
    return None


def _num_objects(piece: bytes) -> int:
    """Count the lines of a piece that are not blank."""
    blank = len(BLANK.findall(piece)) + bool(FIRST_BLANK.match(piece))
    return piece.count(b"\n") + 1 - blank


def _exact_lines(piece: bytes, lines_before: int, rows: _Columns, *, last: bool) -> Iterator[Cells]:
    for place, record in line_values(piece, rows.address, lines_before):
        yield rows.take(record, place)
    if last:
        rows.check()
