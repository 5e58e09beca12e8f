"""All columns of a source in the order of its rows, with what a task reads of them beside.

Rows to be trained on are read by rows.py, which leaves out what the task does not read.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError
from configs.task_columns import Column, Columns
from trainers.data.arrow_files import read_batches
from trainers.data.cells import Asked, cell_text, empty_text, json_text
from trainers.data.columns import MAX_ROWS, check_columns, column_array, string_array
from trainers.data.delimited import read_delimited, read_header
from trainers.data.json_values import read_values
from trainers.data.rows import DAMAGE, damaged, form_of, list_asked, read_rows
from trainers.data.sources import Source, local_copy

CELL = "thaw.cell."
"""What the names of columns begin with that hold the text of a task's column."""
WHERE = "thaw.where"
"""Column with file and row."""
BAD = "thaw.bad"
"""Column with what is wrong with a row, null where nothing is."""
IMAGES = Columns((Column("image", "image"),), Column("label", "label"))


def read_whole(
    source: Source, inputs: Sequence[Column], added: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Yield all columns of a source, with texts of the input columns and places, block by block.

    A cell that is empty, or that its column cannot hold, is said in the column `BAD`. Raises
    DataError for a source that cannot be read, a missing column, and for a column called like one
    that will be `added`.
    """
    asked = list_asked(source, Columns(tuple(inputs), None))
    num_rows = 0
    try:
        for block in _blocks(source, asked):
            taken = [name for name in added if name in block.column_names]
            if taken:
                raise DataError(
                    f"{source.address} has a column {taken[0]} already. Rename or drop it"
                )
            num_rows += block.num_rows
            yield _complete(block, inputs)
    except DAMAGE as error:
        raise damaged(source, num_rows, error) from error
    if num_rows == 0:
        raise DataError(f"{source.address} has no rows. Fill it")


def _blocks(source: Source, asked: Sequence[Asked]) -> Iterator[pa.Table]:
    """Yield columns as they are, the texts of those asked for, and places."""
    if source.format in ("json", "jsonl"):
        yield from _json_blocks(source, asked)
        return
    first_row = 1
    for block in _raw_blocks(source, [each.name for each in asked]):
        check_columns(source.address, [each.name for each in asked], block.column_names)
        whole, wrong = block, _Wrong(block.num_rows)
        for each in asked:
            values = pa.concat_arrays(block[each.name].chunks)
            cells = _array(values, each, (source.address, first_row), wrong)
            whole = whole.append_column(CELL + each.name, cells)
        rows = range(first_row, first_row + block.num_rows)
        places = [f"{source.address} row {row}" for row in rows]
        yield whole.append_column(WHERE, [places]).append_column(BAD, wrong.array())
        first_row += block.num_rows


def _raw_blocks(source: Source, wanted: Sequence[str]) -> Iterator[pa.Table]:
    if source.format == "images":
        yield from read_rows(source, IMAGES)
        return
    with local_copy(source.address) as path:
        if source.format in ("parquet", "arrow"):
            for batch in read_batches(path, source.address, source.format):
                yield pa.Table.from_batches([batch])
            return
        form = form_of(path, source, wanted)
        address, sign, encoding = source.address, form.delimiter, source.encoding
        names = read_header(path, address, sign, encoding, quotes=form.quotes)
        strings = [Asked(name, "text") for name in names]
        yield from read_delimited(path, address, sign, strings, encoding, quotes=form.quotes)


def _json_blocks(source: Source, asked: Sequence[Asked]) -> Iterator[pa.Table]:
    """Read a file as a whole: only then is it known which keys there are, and of which type."""
    places, rows = [], []
    with local_copy(source.address) as path:
        lines = source.format == "jsonl"
        for place, row in read_values(path, source.address, source.encoding, lines=lines):
            places.append(f"{source.address} {place}")
            if not isinstance(row, dict):
                raise DataError(
                    f"{places[-1]} is no JSON object. Write rows as objects, such as {{...}}"
                )
            rows.append(row)
    if not rows:
        return
    names = dict.fromkeys(key for row in rows for key in row)
    check_columns(source.address, [each.name for each in asked], list(names))
    table = pa.table({name: _json_array([row.get(name) for row in rows]) for name in names})
    wrong = _Wrong(len(rows))
    for each in asked:
        cells = [
            wrong.settle(number, partial(cell_text, row.get(each.name), each, places[number]))
            for number, row in enumerate(rows)
        ]
        table = table.append_column(CELL + each.name, string_array(cells, source.address))
    table = table.append_column(WHERE, [places]).append_column(BAD, wrong.array())
    for start in range(0, len(rows), MAX_ROWS):
        yield table.slice(start, MAX_ROWS)


class _Wrong:
    """What is wrong with the rows of a block, the first of each."""

    def __init__(self, num_rows: int) -> None:
        self._sentences: list[str | None] = [None] * num_rows

    def settle(self, number: int, read: Callable[[], str | None]) -> str | None:
        """Return what a cell reads as; None where it cannot be read, which is noted."""
        try:
            return read()
        except DataError as error:
            self._sentences[number] = self._sentences[number] or str(error)
            return None

    def array(self) -> pa.ChunkedArray:
        """Return a sentence a row, null for the good ones."""
        return pa.chunked_array([pa.array(self._sentences, pa.string())])


def _array(values: pa.Array, asked: Asked, start: tuple[str, int], wrong: _Wrong) -> pa.Array:
    """Turn a column into texts, cell by cell where one cannot be read."""
    address, first_row = start
    try:
        return column_array(values, asked, address, first_row)
    except DataError:
        if asked.kind in ("text", "label"):
            raise  # of another type as a whole

    def cell(place: int) -> str | None:
        read = column_array(values.slice(place, 1), asked, address, first_row + place)
        text: str | None = read[0].as_py()
        return text

    texts = [wrong.settle(place, partial(cell, place)) for place in range(len(values))]
    return string_array(texts, address)


def _json_array(values: list[Any]) -> pa.Array:
    """Give values of one type as they are, others as text: JSON, where they are none already."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        texts = [v if v is None or isinstance(v, str) else json_text(v) for v in values]
        return pa.array(texts, pa.string())


def _complete(block: pa.Table, inputs: Sequence[Column]) -> pa.Table:
    """Put what stands for nothing into cells that may be empty; raise DataError for others."""
    for column in inputs:
        place = block.column_names.index(CELL + column.name)
        cells = block.column(place)
        missing = pc.is_null(cells)
        if column.kind != "text":  # an empty text is a text, which a model may be asked about
            missing = pc.or_(missing, pc.fill_null(pc.equal(cells, ""), False))
        if not pc.any(missing).as_py():
            continue
        if not column.may_be_empty:
            sentence = f"column {column.name} is empty. Fill it in or leave the row out"
            known, at = block[BAD], block.column_names.index(BAD)
            wrong = pc.if_else(pc.and_(missing, pc.is_null(known)), sentence, known)
            block = block.set_column(at, BAD, wrong)
            continue
        filled = pc.if_else(missing, empty_text(column), cells)
        block = block.set_column(place, CELL + column.name, filled)
    return block
