"""Rows of csv, tsv, JSON lines and JSON files, one after another; what they mean stands elsewhere.

Python's own parsers, not Arrow's: text is never taken for a number or for nothing, types may differ
from row to row, and every complaint names its line. Tokenising costs ten times as much anyway.
"""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from configs.errors import DataError
from trainers.data.columns import check_columns, label_value, text_value

MAX_CELL_CHARACTERS = 2**31 - 1

Cells = tuple[str | None, ...]
"""The columns asked for of one row, the target last."""


def read_delimited(
    path: Path, address: str, delimiter: str, columns: Sequence[str]
) -> Iterator[Cells]:
    """Yield the rows of a csv or tsv file with a header; raises DataError for a ragged row."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with _open_text(path) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            check_columns(address, columns, header)
            places = [header.index(column) for column in columns]
            for number, row in enumerate(filter(None, reader), 1):
                if len(row) != len(header):
                    raise DataError(
                        f"{address} line {reader.line_num} (row {number}) has {len(row)} cells "
                        f"where the header has {len(header)}. Quote cells that hold the delimiter"
                    )
                yield tuple([row[place] for place in places])
        except csv.Error as error:
            raise DataError(
                f"{address} line {reader.line_num}: {error}. Quote cells that hold quotes, and "
                "double the quotes in them"
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{address} after line {reader.line_num} is not UTF-8 ({error.reason}). Save it as "
                "UTF-8"
            ) from error


def read_json_lines(path: Path, address: str, columns: Sequence[str]) -> Iterator[Cells]:
    """Yield the rows of a file with one JSON object a line; raises DataError for any other line."""
    keys: dict[str, None] = {}
    with _open_binary(path) as stream:
        for number, line in enumerate(stream, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            place = f"{address} line {number}"
            try:
                record = json.loads(text.decode())
            except ValueError as error:
                raise DataError(f"{place} is not JSON: {error}. Correct or remove it") from error
            yield _cells(record, place, columns, keys)
    if keys:
        check_columns(address, columns, keys)


def read_json(path: Path, address: str, columns: Sequence[str]) -> Iterator[Cells]:
    """Yield the rows of a JSON file: one list of objects, or one object a line."""
    with _open_binary(path) as stream:
        first = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first != b"[":
        yield from read_json_lines(path, address, columns)
        return
    keys: dict[str, None] = {}
    with _open_binary(path) as stream:
        try:
            records = json.loads(stream.read().removeprefix(b"\xef\xbb\xbf").decode())
        except ValueError as error:
            raise DataError(f"{address} is not JSON: {error}. Correct it") from error
    for number, record in enumerate(records, 1):
        yield _cells(record, f"{address} row {number}", columns, keys)
    if keys:
        check_columns(address, columns, keys)


def _cells(record: Any, place: str, columns: Sequence[str], keys: dict[str, None]) -> Cells:
    """Take the columns of one JSON object and note which keys there are."""
    if not isinstance(record, dict):
        raise DataError(f"{place} is no JSON object. Write rows as objects, such as {{...}}")
    keys.update(dict.fromkeys(record))
    *inputs, target = columns
    texts = [text_value(record.get(column), place, column) for column in inputs]
    return (*texts, label_value(record.get(target), place, target))


def _open_binary(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _open_text(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")
