"""Rows of csv and tsv files; what they mean stands elsewhere.

Pieces in which every quote stands where RFC 4180 wants it are read by Arrow, which then gives just
what Python's strict reader gives, all columns as text. From the first other piece on, and for every
complaint, Python's reader takes over: it knows bare quotes and names the line.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from configs.errors import DataError
from trainers.data.cells import Asked
from trainers.data.columns import block_rows, check_columns, string_array, text_columns
from trainers.data.delimited_form import Quotes, find_swallowed, refuse_lines, refuse_swallowed
from trainers.data.text_streams import (
    MAX_ROW_BYTES,
    READ_BYTES,
    Read,
    check_utf8,
    count_lines,
    open_utf8,
    refuse_long_row,
)

QUOTE = ord('"')


def read_delimited(
    path: Path,
    address: str,
    delimiter: str,
    columns: Sequence[Asked],
    encoding: str = "utf-8",
    *,
    quotes: Quotes = "double",
) -> Iterator[pa.Table]:
    """Yield the columns asked for of a csv or tsv file with a header, a block of rows at a time.

    Raises DataError for a ragged row, a missing column or one that stands twice, wrong quotes,
    with quotes to be "checked" a cell that swallowed rows, and bytes that are not in the encoding.
    """
    csv.field_size_limit(MAX_ROW_BYTES)
    with open_utf8(path, address, encoding) as read:
        rows = _Rows(address, delimiter, columns, quotes)
        held, last = _more(b"", read)
        held = rows.take_header(held)
        while held or not last:
            end = _end_of_rows(held, delimiter, last, has_quotes=quotes != "none")
            if end == 0:
                rows.refuse_long(len(held))
            if end is None:
                yield from rows.read_exactly(_lines(held, read, rows.refuse_long))
                return
            yield from rows.read(held[:end])
            held = held[end:]
            if not last:
                held, last = _more(held, read)


def read_header(
    path: Path,
    address: str,
    delimiter: str,
    encoding: str = "utf-8",
    *,
    quotes: Quotes = "double",
) -> list[str]:
    """Give the names of the columns of a csv or tsv file."""
    csv.field_size_limit(MAX_ROW_BYTES)
    with open_utf8(path, address, encoding) as read:
        rows = _Rows(address, delimiter, [], quotes)
        rows.take_header(_more(b"", read)[0])
        return rows.header


class _Rows:
    """Knows the header of a file, and how many lines and rows of it are read."""

    def __init__(
        self, address: str, delimiter: str, columns: Sequence[Asked], quotes: Quotes
    ) -> None:
        self._address, self._delimiter, self._asked = address, delimiter, columns
        self._quotes = quotes
        self._row_lines: list[bytes] = []
        self._columns = [each.name for each in columns]
        self._size = block_rows(columns)
        self.header: list[str] = []
        self._places: list[int] = []
        self._num_lines = self._num_rows = 0

    def take_header(self, held: bytes) -> bytes:
        """Read the first row; gives the bytes behind it."""
        used = 0

        def lines() -> Iterator[bytes]:
            nonlocal used
            for line in _lines(held, _nothing):
                used += len(line)
                yield line

        self.header = next(self._cells(lines()), [])
        self._row_lines = []
        check_columns(self._address, self._columns, self.header)
        self._places = [self.header.index(column) for column in self._columns]
        return held[used:]

    def read(self, piece: bytes) -> Iterator[pa.Table]:
        """Read whole rows whose quotes are all in their places."""
        if not piece.strip(b"\r\n"):
            self._num_lines += count_lines(piece)
            return
        check_utf8(piece, self._address, self._num_lines)
        if self._quotes == "checked":
            place = (self._address, self._num_lines)
            refuse_swallowed(piece, self._delimiter, len(self.header), place)
        try:
            table = self._parse(piece)
        except pa.ArrowInvalid:
            yield from self.read_exactly(_lines(piece, _nothing))
            return
        for start in range(0, table.num_rows, self._size):
            block = table.slice(start, self._size).combine_chunks()
            yield text_columns(block, self._asked, self._address, self._num_rows + start + 1)
        self._num_rows += table.num_rows
        self._num_lines += count_lines(piece)

    def read_exactly(self, lines: Iterator[bytes]) -> Iterator[pa.Table]:
        """Read rows one by one; raises DataError naming line and row."""
        rows = self._full_rows(lines)
        while block := list(islice(rows, self._size)):
            cells = list(zip(*block, strict=True))
            arrays = [string_array(cells[place], self._address) for place in self._places]
            table = pa.table(arrays, names=self._columns)
            first_row = self._num_rows - len(block) + 1
            yield text_columns(table, self._asked, self._address, first_row)

    def refuse_long(self, num_bytes: int) -> None:
        """Raise DataError where the line at hand is longer than any row."""
        refuse_long_row(num_bytes, self._address, f"line {self._num_lines + 1}")

    def _parse(self, piece: bytes) -> pa.Table:
        names = [str(place) for place in range(len(self.header))]
        wanted = [names[place] for place in self._places]
        table = pacsv.read_csv(
            pa.BufferReader(piece),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=max(READ_BYTES, len(piece)), column_names=names
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self._delimiter,
                quote_char=False if self._quotes == "none" else '"',
                newlines_in_values=self._quotes != "none",
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
            ),
        )
        return table.rename_columns(self._columns)

    def _full_rows(self, lines: Iterator[bytes]) -> Iterator[list[str]]:
        width = len(self.header)
        for row in self._cells(lines):
            self._num_rows += 1
            if len(row) != width:
                advice = (
                    "Quotes are characters here (data.quotes: none): leave the delimiter out of "
                    "cells, or set data.quotes to double"
                    if self._quotes == "none"
                    else "Quote cells that hold the delimiter"
                )
                raise DataError(
                    f"{self._address} line {self._num_lines} (row {self._num_rows}) has {len(row)} "
                    f"cells where the header has {width}. {advice}"
                )
            self._check_lines()
            yield row

    def _check_lines(self) -> None:
        """Raise DataError where the row just read is made of lines that are rows themselves."""
        lines = self._row_lines
        if self._quotes == "checked" and len(lines) > 1:
            place = find_swallowed(b"".join(lines), self._delimiter, len(self.header))
            if place is not None:
                refuse_lines(self._address, self._num_lines - len(lines) + place + 1)

    def _cells(self, lines: Iterator[bytes]) -> Iterator[list[str]]:
        """Read rows that are not blank, as Python does."""
        texts, sign = self._texts(lines), self._delimiter
        if self._quotes == "none":
            reader = csv.reader(texts, delimiter=sign, strict=True, quoting=csv.QUOTE_NONE)
        else:
            reader = csv.reader(texts, delimiter=sign, strict=True)
        try:
            for row in reader:
                if row:
                    yield row
                self._row_lines = []
        except csv.Error as error:
            if "field limit" in str(error):
                self.refuse_long(MAX_ROW_BYTES + 1)
            first = self._num_lines - max(0, len(self._row_lines) - 1)
            line = first if "unexpected end" in str(error) else self._num_lines
            raise DataError(
                f"{self._address} line {line}: {error}. Quote cells that hold quotes, and double "
                "the quotes in them, or set data.quotes to none where quotes are characters"
            ) from error

    def _texts(self, lines: Iterator[bytes]) -> Iterator[str]:
        for line in lines:
            check_utf8(line, self._address, self._num_lines)
            self._num_lines += 1
            self._row_lines.append(line)
            yield line.decode()


def _end_of_rows(held: bytes, delimiter: str, last: bool, *, has_quotes: bool = True) -> int | None:
    """Give where the last whole row ends; None where a quote stands where Arrow takes it otherwise.

    Quotes are in their places when they open a cell, close it, or stand twice inside it. Then
    every other one opens, and a line ends where as many are closed as were opened.
    """
    end_of_line = b"\n" if b"\n" in held else b"\r"
    if not has_quotes or QUOTE not in held:
        return len(held) if last else held.rfind(end_of_line) + 1
    padded = np.frombuffer(b"\n" + held + b"\n", np.uint8)
    quotes = np.flatnonzero(padded == QUOTE)
    beside = np.zeros(256, bool)
    beside[[ord(delimiter), ord("\n"), ord("\r"), QUOTE]] = True
    in_place = beside[padded[quotes[::2] - 1]].all() and beside[padded[quotes[1::2] + 1]].all()
    if not in_place or (last and len(quotes) % 2):
        return None
    if last:
        return len(held)
    end = held.rfind(end_of_line) + 1
    while end > 0 and (before := int(np.searchsorted(quotes, end))) % 2:
        # Inside a cell: the next line end to try is before the quote that opens it.
        end = held.rfind(end_of_line, 0, int(quotes[before - 1]) - 1) + 1
    return end


def _lines(
    held: bytes, read: Read, refuse_long: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """Yield the lines of bytes at hand and of a stream, ended as Python takes lines to end."""
    while more := read(max(READ_BYTES, len(held))):
        *lines, held = (held + more).splitlines(keepends=True)
        yield from lines
        if refuse_long is not None:
            refuse_long(len(held))
    yield from held.splitlines(keepends=True)


def _more(held: bytes, read: Read) -> tuple[bytes, bool]:
    """Read some more; also say whether that was the end."""
    parts, wanted = [held], READ_BYTES
    while wanted > 0:
        data = read(wanted)
        if not data:
            return b"".join(parts), True
        parts.append(data)
        wanted -= len(data)
    return b"".join(parts), False


def _nothing(_: int) -> bytes:
    return b""
