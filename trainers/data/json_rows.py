"""Rows of JSON and JSON lines files; what they mean stands elsewhere.

Pieces of JSON lines that have just the types asked for are read by Arrow. Every other piece, and
every complaint, is left to Python's parser: it keeps any integer as it is and names the line.
"""

import codecs
import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from configs.errors import DataError
from trainers.data.columns import check_columns, label_value, text_value
from trainers.data.text_streams import (
    READ_BYTES,
    Read,
    check_utf8,
    not_utf8,
    open_utf8,
    read_after,
    read_pieces,
)

MAX_ROWS = 16_384
WHITE_SPACE = frozenset(" \t\r\n")
LONGEST_SIGN = 16
"""Characters of a literal, number or escape that may be cut in two."""

Cells = tuple[str | None, ...]
"""The columns asked for of one row, the target last."""


def read_json_lines(
    path: Path, address: str, columns: Sequence[str], encoding: str = "utf-8"
) -> Iterator[pa.Table]:
    """Yield the columns asked for of a file with one JSON object a line, a block at a time.

    Raises DataError for any other line, a value of a wrong type, a label column that changes
    between strings and integers, and a column that no row has.
    """
    with open_utf8(path, address, encoding) as read:
        yield from _lines_of_objects(read, _Columns(address, columns))


def read_json(
    path: Path, address: str, columns: Sequence[str], encoding: str, field: str | None
) -> Iterator[pa.Table]:
    """Yield the columns of a JSON file: a list of objects, or one object a line.

    With `field` the file is one object, read as a whole, whose key of that name holds the list. A
    row of a list may also be a list of values, in the order of the columns.
    """
    rows = _Columns(address, columns)
    with open_utf8(path, address, encoding) as read:
        if field is not None:
            yield from rows.blocks(rows.cells(_field(read, address, field), "row {}"))
            return
        first = read(READ_BYTES)
        text = first.lstrip()
        if text[:1] == b"[":
            yield from rows.blocks(rows.cells(_items(text[1:], read, address), "row {}"))
        else:
            yield from _lines_of_objects(read_after(first, read), rows)


class _Columns:
    """Takes the columns asked for out of objects and remembers what was seen of them."""

    def __init__(self, address: str, columns: Sequence[str]) -> None:
        self.address, self.columns = address, list(columns)
        self._keys: dict[str, None] = {}
        self._label_kind: type | None = None

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
        *inputs, target = self.columns
        texts = [text_value(record.get(column), place, column) for column in inputs]
        label = record.get(target)
        self.note_label(label, place)
        return (*texts, label_value(label, place, target))

    def note_label(self, label: Any, place: str) -> None:
        """Raise DataError where labels change between strings and integers."""
        kind = type(label)
        if kind is self._label_kind or kind not in (str, int):
            return
        if self._label_kind is not None:
            names = {str: "strings", int: "integers"}
            raise DataError(
                f"{place}: column {self.columns[-1]} changes from {names[self._label_kind]} to "
                f"{names[kind]} ({str(label)[:40]!r}). Write all labels as one or the other"
            )
        self._label_kind = kind

    def note_table(self, table: pa.Table, piece: bytes) -> None:
        """Remember which columns of a table have values; the keys of a row where one has none."""
        for name in self.columns:
            if table[name].null_count < table.num_rows:
                self._keys[name] = None
            elif name not in self._keys:
                self._keys.update(dict.fromkeys(json.loads(piece.partition(b"\n")[0])))

    def label_types(self) -> tuple[pa.DataType, ...]:
        """Give the types that labels may have here, likeliest first."""
        both: tuple[pa.DataType, ...] = (pa.string(), pa.int64())
        return {str: both[:1], int: both[1:]}.get(self._label_kind or object, both)

    def check(self) -> None:
        """Raise DataError for a column that no row has, where there are rows."""
        if self._keys:
            check_columns(self.address, self.columns, list(self._keys))

    def blocks(self, rows: Iterator[Cells]) -> Iterator[pa.Table]:
        """Put rows together in tables of text."""
        while block := list(islice(rows, MAX_ROWS)):
            try:
                arrays = [pa.array(cells, pa.string()) for cells in zip(*block, strict=True)]
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{self.address} holds half a surrogate pair ({error.object[:40]!r}), which is "
                    "no character. Write the character itself"
                ) from error
            yield pa.table(arrays, names=self.columns)


def _lines_of_objects(read: Read, rows: _Columns) -> Iterator[pa.Table]:
    num_lines = 0
    pieces = read_pieces(read)
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        check_utf8(piece, rows.address, num_lines)
        table = _parse(piece, rows)
        if table is None:
            yield from rows.blocks(_exact_lines(piece, num_lines, rows, last=following is None))
        else:
            rows.note_table(table, piece)
            if following is None:
                rows.check()  # before the last rows go on, where an absent column would look empty
            for start in range(0, table.num_rows, MAX_ROWS):
                yield table.slice(start, MAX_ROWS).combine_chunks()
        num_lines += piece.count(b"\n")
        piece = following


def _parse(piece: bytes, rows: _Columns) -> pa.Table | None:
    """Read lines with Arrow; None where they are not just one object each with the types asked."""
    *inputs, target = rows.columns
    for label_type in rows.label_types():
        fields = [*((name, pa.string()) for name in inputs), (target, label_type)]
        try:
            table = pajson.read_json(
                pa.BufferReader(piece),
                read_options=pajson.ReadOptions(
                    use_threads=False, block_size=max(READ_BYTES, len(piece))
                ),
                parse_options=pajson.ParseOptions(
                    explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            continue
        whole_lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
        if table.num_rows != whole_lines or table.column_names != rows.columns:
            return None
        if table[target].null_count < table.num_rows:
            rows.note_label("" if label_type == pa.string() else 0, rows.address)
        return table.set_column(len(inputs), target, table[target].cast(pa.string()))
    return None


def _exact_lines(piece: bytes, lines_before: int, rows: _Columns, *, last: bool) -> Iterator[Cells]:
    for number, line in enumerate(piece.split(b"\n"), lines_before + 1):
        if line.strip():
            try:
                record = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{rows.address} line {number} is not JSON: {error}. Correct or remove it"
                ) from error
            yield rows.take(record, f"line {number}")
    if last:
        rows.check()


def _items(first: bytes, read: Read, address: str) -> Iterator[Any]:
    """Yield the items of a list whose bracket is open, a few megabytes of text at a time."""
    decoder, texts = json.JSONDecoder(), _texts(first, read, address)
    text, place, lines, number, wants_comma = next(texts, ""), 0, 0, 0, False
    while True:
        place = _next_sign(text, place)
        try:
            if text.startswith("]", place) and (wants_comma or number == 0):
                _check_end(text[place + 1 :], texts, address)
                return
            if wants_comma:
                if not text.startswith(",", place):
                    raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
                place, wants_comma = place + 1, False
                continue
            item, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            more = next(texts, "") if _may_go_on(error) else ""
            if not more:
                line = lines + error.lineno
                raise DataError(
                    f"{address} is not JSON: {error.msg} (line {line}, after row {number}). "
                    "Correct it there"
                ) from error
            lines += text.count("\n", 0, place)
            text, place = text[place:] + more, 0
            continue
        number, wants_comma = number + 1, True
        yield item


def _next_sign(text: str, place: int) -> int:
    """Give the place of the next character that is no white space."""
    while text[place : place + 1] in WHITE_SPACE:
        place += 1
    return place


def _may_go_on(error: json.JSONDecodeError) -> bool:
    """Say whether text that was cut off would be complained of like this."""
    return error.msg.startswith("Unterminated string") or error.pos > len(error.doc) - LONGEST_SIGN


def _check_end(text: str, texts: Iterator[str], address: str) -> None:
    if text.strip() or any(more.strip() for more in texts):
        raise DataError(f"{address} goes on behind its list. Leave one list in it, and no more")


def _texts(first: bytes, read: Read, address: str) -> Iterator[str]:
    """Decode a stream bit by bit; a character may lie across two of them."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 0
    for data in chain([first] if first else [], iter(lambda: read(READ_BYTES), b"")):
        try:
            text = decoder.decode(data)
        except UnicodeDecodeError as error:
            raise not_utf8(address, lines, error) from error
        lines += text.count("\n")
        if text:
            yield text


def _field(read: Read, address: str, field: str) -> Iterator[Any]:
    """Yield the items of a list inside one object."""
    content = b"".join(iter(lambda: read(READ_BYTES), b""))
    check_utf8(content, address, 0)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{address} is not JSON: {error}. Correct it") from error
    if not isinstance(found, dict):
        raise DataError(f"{address} is no JSON object. Leave out field, or give an object")
    if not isinstance(found.get(field), list):
        lists = ", ".join(key for key, value in found.items() if isinstance(value, list))
        raise DataError(f"{address} has no list {field}. Set field to one of: {lists or 'none'}")
    yield from found[field]
