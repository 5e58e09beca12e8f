"""How a csv or tsv file is written: its delimiter, and whether quotes are characters.

Where a recipe does not say, the first piece of the file tells, and only where it is certain. A cell
that runs over lines, each of which would be a whole row without its quotes, has swallowed rows.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from configs.errors import DataError
from trainers.data.text_streams import READ_BYTES, open_utf8

Quotes = Literal["double", "none", "checked"]
"""Quotes as RFC 4180 has them, as characters, or as RFC 4180 has them where none swallows rows."""
DELIMITERS = {"csv": ",", "tsv": "\t"}
OTHERS = ",;\t|"
NAMES = {"\t": "tab"}
NEWLINE, QUOTE, BLANK = ord("\n"), ord('"'), ord(" ")


@dataclass(frozen=True)
class Form:
    """How one file is read."""

    delimiter: str
    quotes: Quotes = "double"
    notes: tuple[str, ...] = ()
    """What was found out and not asked for, to be said with the number of rows before it."""


def find_form(
    path: Path, source: tuple[str, str, str], asked: Form | None, wanted: Sequence[str]
) -> Form:
    """Find how a file is written.

    `source` is its address, format and encoding; what is `asked` for stays: a delimiter other than
    none, and quotes other than "checked". A delimiter is certain where it alone gives all columns
    that are wanted; quotes are characters where they swallow rows or end nowhere, and all lines
    have as many cells as the header without them.
    """
    address, kind, encoding = source
    delimiter, quotes = (asked.delimiter, asked.quotes) if asked is not None else ("", "checked")
    if delimiter and quotes != "checked":
        return Form(delimiter, quotes)
    with open_utf8(path, address, encoding) as read:
        first, is_cut = read(READ_BYTES), bool(read(1))
    lines = first.splitlines(keepends=True)
    lines = lines[:-1] if is_cut else lines
    header = lines[0].decode(errors="replace") if lines else ""
    name, notes = address.rpartition("/")[2], []
    if not delimiter:
        default = DELIMITERS.get(kind, ",")
        delimiter = _find_delimiter(header, default, wanted)
        if delimiter != default:
            shown = NAMES.get(delimiter, delimiter)
            notes.append(f"rows of {name} read with {shown} between cells (data.delimiter)")
    # In files with commas a bare quote is rather a mistake than a custom: that is refused.
    if (
        quotes == "checked"
        and delimiter == "\t"
        and _quotes_are_characters(lines, delimiter, is_cut=is_cut)
    ):
        quotes = "none"
        notes.append(f"rows of {name} read with quotes as characters (data.quotes: none)")
    return Form(delimiter, quotes, tuple(notes))


def refuse_swallowed(piece: bytes, delimiter: str, width: int, place: tuple[str, int]) -> None:
    """Raise DataError for a cell that swallowed rows, in a piece with its quotes in their places.

    `place` is the address of the file, and how many lines of it stand before the piece.
    """
    line = find_swallowed(piece, delimiter, width)
    if line is not None:
        refuse_lines(place[0], place[1] + line + 1)


def refuse_lines(address: str, line: int) -> None:
    """Raise DataError for the cell that begins in a line and swallowed what stands behind it."""
    raise DataError(
        f"{address} line {line}: a quote opens a cell that goes over lines, each of which is a row "
        "without it. Set data.quotes to none where quotes are characters, or to double where the "
        "cell is meant so"
    )


def find_swallowed(piece: bytes, delimiter: str, width: int) -> int | None:
    """Return the number, from 0, of the line in which the first cell opens that swallowed rows."""
    if width < 2 or b'"' not in piece:
        return None
    data = np.frombuffer(piece if piece.endswith(b"\n") else piece + b"\n", np.uint8)
    ends = np.flatnonzero(data == NEWLINE)
    is_inside = np.searchsorted(np.flatnonzero(data == QUOTE), ends) % 2 == 1
    if not is_inside.any():
        return None
    is_row = _are_rows(data, ends, delimiter, width)
    # Lines that quotes hold together make one group; it swallowed rows if each line is a row.
    starts = np.flatnonzero(np.concatenate([[True], ~is_inside[:-1]]))
    sizes = np.diff(np.append(starts, len(ends)))
    swallowed = np.logical_and.reduceat(is_row, starts) & (sizes > 1)
    return int(starts[np.argmax(swallowed)]) if swallowed.any() else None


def _are_rows(
    data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], delimiter: str, width: int
) -> npt.NDArray[np.bool_]:
    """Say of each line whether it has as many cells as the header, quotes not heeded.

    Prose has commas too, with a blank or the end of a line behind them: such lines are no rows.
    """
    places = np.flatnonzero(data == ord(delimiter))
    counts = np.diff(np.searchsorted(places, ends), prepend=0)
    is_row: npt.NDArray[np.bool_] = counts == width - 1
    if delimiter != "\t":
        behind = data[places + 1]
        prose = places[(behind == BLANK) | (behind == NEWLINE) | (behind == ord("\r"))]
        is_row &= np.diff(np.searchsorted(prose, ends), prepend=0) == 0
    return is_row


def _find_delimiter(header: str, default: str, wanted: Sequence[str]) -> str:
    def gives_all(sign: str) -> bool:
        try:
            cells = next(csv.reader([header], delimiter=sign), [])
        except csv.Error:
            return False
        return set(wanted) <= set(cells)

    if len(set(wanted)) < 2 and not any(sign in header for sign in OTHERS):
        return default
    if gives_all(default):
        return default
    fitting = [sign for sign in OTHERS if gives_all(sign)]
    return fitting[0] if len(fitting) == 1 else default


def _quotes_are_characters(lines: list[bytes], delimiter: str, *, is_cut: bool) -> bool:
    """Say whether quotes swallow rows or end nowhere, and all lines are rows without them."""
    held = b"".join(lines)
    if QUOTE not in held or len(lines) < 2 or b"\n" not in held:
        return False
    data = np.frombuffer(held if held.endswith(b"\n") else held + b"\n", np.uint8)
    width = lines[0].count(delimiter.encode()) + 1
    ends = np.flatnonzero(data == NEWLINE)
    is_blank = np.array([not line.strip(b"\r\n") for line in lines])
    if width < 2 or len(ends) != len(lines):
        return False
    if not (_are_rows(data, ends, delimiter, width) | is_blank).all():
        return False
    reader = csv.reader(
        io.StringIO(held.decode(errors="replace"), newline=""), delimiter=delimiter, strict=True
    )
    try:
        return any(reader.line_num > 1 and "\n" in "".join(row) for row in reader)
    except csv.Error as error:
        return not (is_cut and "unexpected end" in str(error))
