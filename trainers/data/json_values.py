"""The values in JSON files, one after another; which columns are taken of them stands elsewhere."""

import codecs
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from configs.errors import DataError
from trainers.data.text_streams import (
    READ_BYTES,
    Read,
    check_utf8,
    not_utf8,
    open_utf8,
    read_after,
    read_pieces,
    refuse_long_row,
)

WHITE_SPACE = frozenset(" \t\r\n")
MAX_OBJECT_BYTES = 512 * 2**20
"""Most bytes of a file that is read as one object."""
LONGEST_SIGN = 16
"""Characters of a literal, number or escape that may be cut in two."""


def read_values(
    path: Path, address: str, encoding: str, *, lines: bool
) -> Iterator[tuple[str, Any]]:
    """Yield place and value of each row: one a line, or the items of a list where there is one.

    Raises DataError for what is no JSON.
    """
    with open_utf8(path, address, encoding) as read:
        first, text = begin(read, address)
        if text[:1] == b"[" and not lines:
            for number, value in enumerate(list_values(text[1:], read, address), 1):
                yield f"row {number}", value
            return
        num_lines = 0
        for piece in read_pieces(read_after(first, read), address):
            check_utf8(piece, address, num_lines)
            yield from line_values(piece, address, num_lines)
            num_lines += piece.count(b"\n")


def begin(read: Read, address: str) -> tuple[bytes, bytes]:
    """Read the first bytes; gives them as they are and from the first sign on."""
    first = read(READ_BYTES)
    while not first.strip() and (more := read(READ_BYTES)):
        first += more
        refuse_long_row(len(first), address, "begins with blanks and")
    return first, first.lstrip()


def line_values(piece: bytes, address: str, lines_before: int) -> Iterator[tuple[str, Any]]:
    """Yield place and value of each line that is not blank."""
    for number, line in enumerate(piece.split(b"\n"), lines_before + 1):
        if line.strip():
            try:
                value = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                problem = error if isinstance(error, ValueError) else "it is nested too deeply"
                raise DataError(
                    f"{address} line {number} is not JSON: {problem}. Correct or remove it"
                ) from error
            yield f"line {number}", value


def list_values(first: bytes, read: Read, address: str) -> Iterator[Any]:
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
        except RecursionError as error:
            raise DataError(
                f"{address} is not JSON that can be read: row {number + 1} is nested too deeply. "
                "Write it flatter"
            ) from error
        except json.JSONDecodeError as error:
            refuse_long_row(len(text) - place, address, f"row {number + 1}")
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
        raise DataError(f"{address} has more after its list. Keep one list in it, and nothing else")


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


def field_values(read: Read, address: str, field: str) -> Iterator[Any]:
    """Yield the items of a list inside one object."""
    content = b""
    while len(content) <= MAX_OBJECT_BYTES and (more := read(len(content) + READ_BYTES)):
        content += more
    if len(content) > MAX_OBJECT_BYTES:
        raise DataError(
            f"{address} is one object of more than {MAX_OBJECT_BYTES // 2**20} MiB. Write its rows "
            "one a line as .jsonl, and leave field out"
        )
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
