"""Read labelled rows from one source of any format; cleaning and hashing them stands elsewhere.

Every format gives the same: blocks of text columns, null where a row has no value. What the texts
are stands in cells.py. What cannot be read raises DataError naming file and line.
"""

import lzma
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from configs.errors import DataError
from configs.task_columns import Columns
from trainers import storage
from trainers.data.arrow_files import read_arrow
from trainers.data.cells import Asked
from trainers.data.databases import read_query
from trainers.data.delimited import read_delimited
from trainers.data.delimited_form import DELIMITERS, Form, find_form
from trainers.data.image_folders import read_images
from trainers.data.json_rows import read_json, read_json_lines
from trainers.data.sources import Source, local_copy
from trainers.data.text_pairs import read_text_pairs

DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, pa.ArrowException)
"""What is raised while a file is read that is not as it should be."""


def read_rows(
    source: Source,
    columns: Columns,
    extra: str | None = None,
    missing: tuple[str, ...] = (),
    changed: Counter[str] | None = None,
) -> Iterator[pa.Table]:
    """Yield the columns of a task, all text, a block at a time; `extra`, if any, comes last.

    An extra column may hold any single value, and a number one of the words that stand for a
    `missing` one. How a file was read that its name does not tell is counted in `changed`. Raises
    DataError for an empty or malformed source, a missing column or a value that its column cannot
    hold.
    """
    asked = list_asked(source, columns, extra, missing)
    names = [*(column.name for column in columns.all), *([] if extra is None else [extra])]
    num_rows = 0
    try:
        for block in _blocks(source, asked, Counter() if changed is None else changed):
            num_rows += block.num_rows
            yield block.rename_columns(names)
    except DAMAGE as error:
        raise damaged(source, num_rows, error) from error
    if num_rows == 0:
        raise DataError(f"{source.shown} has no rows. Fill it, or leave it out of the data")


def damaged(source: Source, num_rows: int, error: BaseException) -> DataError:
    """Give the sentence about a source that cannot be read on after so many rows."""
    problem = " ".join(str(error).split()).rstrip(".")
    return DataError(
        f"{source.shown} cannot be read as {source.format} after row {num_rows}: {problem}. "
        "It may be cut short or damaged: copy it again"
    )


def list_asked(
    source: Source, columns: Columns, extra: str | None = None, missing: tuple[str, ...] = ()
) -> list[Asked]:
    """Say what is read of a source for the columns of a task."""
    folder = _folder(source)

    def ask(name: str, kind: Any) -> Asked:
        there = source.columns.get(name, name)
        return Asked(there, kind, source.classes.get(there, ()), folder, missing)

    asked = [ask(column.name, column.kind) for column in columns.all]
    return [*asked, *([] if extra is None else [ask(extra, "key")])]


def _folder(source: Source) -> str | None:
    """Give the address of the folder that a source lies in; None for a database."""
    if source.format == "sql":
        return None
    path = storage.local_path(source.address)
    if source.format == "images":  # which names its images as the recipe names the folder
        return str(Path.cwd())
    return source.address.rpartition("/")[0] if path is None else str(path.absolute().parent)


def _blocks(source: Source, columns: Sequence[Asked], changed: Counter[str]) -> Iterator[pa.Table]:
    if source.format == "sql":
        yield from read_query(source.address, source.query or "", columns, source.hash)
    elif source.format == "images":
        yield from read_images(source.address, columns)
    else:
        with local_copy(source.address) as path:
            if path.stat().st_size == 0:
                raise DataError(f"{source.address} is empty. Fill it, or leave it out of the data")
            if source.format in DELIMITERS:
                yield from _delimited(path, source, columns, changed)
            else:
                yield from _blocks_of_file(path, source, columns)


def _delimited(
    path: Path, source: Source, columns: Sequence[Asked], changed: Counter[str]
) -> Iterator[pa.Table]:
    form = form_of(path, source, [each.name for each in columns])
    address, encoding = source.address, source.encoding
    for block in read_delimited(
        path, address, form.delimiter, columns, encoding, quotes=form.quotes
    ):
        changed.update(dict.fromkeys(form.notes, block.num_rows))
        yield block


def form_of(path: Path, source: Source, wanted: Sequence[str]) -> Form:
    """Find how a csv or tsv file is written, of which the columns that are wanted are read."""
    asked = Form(source.delimiter or "", source.quotes)
    return find_form(path, (source.address, source.format, source.encoding), asked, wanted)


def _blocks_of_file(path: Path, source: Source, columns: Sequence[Asked]) -> Iterator[pa.Table]:
    address, encoding = source.address, source.encoding
    if source.format in ("parquet", "arrow"):
        yield from read_arrow(path, address, source.format, columns)
    elif source.format == "text":
        assert source.pair is not None, "a text source has a pair"
        with local_copy(source.pair) as other:
            names = (address, source.pair)
            yield from read_text_pairs((path, other), names, columns, encoding)
    elif source.format == "json":
        yield from read_json(path, address, columns, encoding, source.field)
    else:
        yield from read_json_lines(path, address, columns, encoding)
