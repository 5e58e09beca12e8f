"""Whether a source has the columns asked for, and its columns as text; no reading here.

Text and labels are taken as whole Arrow columns, the cells of other kinds one by one (cells.py).
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError
from configs.task_columns import Column, ColumnKind
from trainers.data.cells import LABEL_ADVICE, Asked, cell_text, class_names, plain_text

MAX_ROWS = 16_384
TAB = "\t"
DELIMITERS = (";", TAB, "|", ",")
"""Signs between columns that a file may have in place of those of its kind."""
IMAGE_ROWS = 256
"""Most rows of a block with images, which may be carried themselves."""

Cells = tuple[str | None, ...]
"""The texts of one row, in the order of the columns asked for."""


def check_columns(address: str, asked: Sequence[str], found: Sequence[str]) -> None:
    """Raise DataError naming columns that a file lacks, with the nearest, or that it has twice."""
    for column in asked:
        places = [str(place) for place, name in enumerate(found, 1) if name == column]
        if len(places) > 1:
            raise DataError(
                f"{address} has the column {column} more than once (columns {', '.join(places)}). "
                "Give each its own name"
            )
    missing = [column for column in asked if column not in found]
    if not missing:
        return
    for sign in DELIMITERS:
        if any(missing[0] in name.split(sign) for name in found if sign in name):
            raise DataError(
                f"{address} has its columns with {sign.replace(TAB, 'tabs')} between them. Save it "
                "with commas as .csv, or with tabs as .tsv"
            )
    near = {near for column in missing for near in get_close_matches(column, found, n=2)}
    kept = [column for column in found if column in near] or list(found)[:8]
    kind = "Nearest" if near else "It has"
    raise DataError(
        f"{address} has no column {', '.join(missing)}. {kind}: {', '.join(kept) or 'no columns'}. "
        "Name the columns under task, or in the source's columns"
    )


def block_rows(asked: Sequence[Asked]) -> int:
    """Give the most rows that a block may have."""
    return IMAGE_ROWS if any(each.kind == "image" for each in asked) else MAX_ROWS


def column_array(values: pa.Array, asked: Asked, address: str, first_row: int) -> pa.Array:
    """Give a column of a file as text; `first_row` is the number of its first row.

    Raises DataError for a type or a value that the column cannot hold.
    """
    if asked.kind == "text":
        return text_array(values, _from(address, first_row), asked.name)
    if asked.kind == "label" and asked.names:
        return named_labels(values, asked.names, _from(address, first_row), asked.name)
    if asked.kind == "label":
        return label_array(values, _from(address, first_row), asked.name)
    if pa.types.is_timestamp(values.type):  # Python knows no nanoseconds
        values = values.cast(pa.timestamp("us", "UTC" if values.type.tz else None), safe=False)
    cells = (
        cell_text(_plain(value, asked), asked, f"{address} row {row}")
        for row, value in enumerate(values.to_pylist(), first_row)
    )
    return string_array(cells, address)


def text_columns(block: pa.Table, asked: Sequence[Asked], address: str, first_row: int) -> pa.Table:
    """Turn columns that a text file holds as strings into the texts of their kinds."""
    for place, each in enumerate(asked):
        if each.kind not in ("text", "label", "key"):
            strings = pa.concat_arrays(block.column(place).chunks or [pa.array([], pa.string())])
            found = column_array(strings, each, address, first_row)
            block = block.set_column(place, each.name, found)
    return block


def tables_of(rows: Iterable[Cells], asked: Sequence[Asked], address: str) -> Iterable[pa.Table]:
    """Put rows of texts together in blocks."""
    rows, size = iter(rows), block_rows(asked)
    while block := list(islice(rows, size)):
        arrays = [string_array(cells, address) for cells in zip(*block, strict=True)]
        yield pa.table(arrays, names=[each.name for each in asked])


def string_array(cells: Iterable[str | None], address: str) -> pa.Array:
    """Give texts as an Arrow array; raises DataError for what is no text."""
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError as error:
        raise DataError(
            f"{address} holds half a surrogate pair ({error.object[:40]!r}), which is no "
            "character. Write the character itself"
        ) from error


def text_array(values: pa.Array, address: str, column: str) -> pa.Array:
    """Take a column of strings; raises DataError for another type."""
    if _is_text(values.type):
        return _cast(values, address, column)
    raise DataError(
        f"{address}: column {column} holds {values.type} values, not text. Write them as strings"
    )


def label_array(values: pa.Array, address: str, column: str) -> pa.Array:
    """Take a column of strings or integers as label names; raises DataError for another type."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if _is_text(kind) or pa.types.is_integer(kind):
        plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        return _cast(plain, address, column)
    if pa.types.is_boolean(kind):
        return _cast(values, address, column)
    if pa.types.is_floating(kind):
        return _whole_labels(values, address, column)
    raise DataError(f"{address}: label column {column} holds {kind} values. {LABEL_ADVICE}")


def _whole_labels(values: pa.Array, address: str, column: str) -> pa.Array:
    """Take floats that are whole as integers, as pandas makes of these where one is missing."""
    known = pc.if_else(pc.is_nan(values), None, values)
    odd = pc.filter(known, pc.not_equal(pc.floor(known), known))
    if len(odd):
        raise DataError(
            f"{address}: label column {column} holds numbers with a fraction, such as "
            f"{odd[0].as_py()}. {LABEL_ADVICE}"
        )
    return known.cast(pa.int64()).cast(pa.string())


def named_labels(values: pa.Array, names: Sequence[str], address: str, column: str) -> pa.Array:
    """Turn class numbers into names, those below zero into nothing; raises DataError for others."""
    if not pa.types.is_integer(values.type):
        return label_array(values, address, column)
    top = pc.max(values).as_py()
    if top is not None and top >= len(names):
        raise DataError(
            f"{address}: column {column} has class {top} where dataset_info.json names "
            f"{len(names)}. Save the data set again"
        )
    known = pc.if_else(pc.less(values, 0), None, values)
    return pa.array(names, pa.string()).take(known)


def class_column(cells: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Give the classes of all rows of a target column, row after row; the empty cell has none."""
    if column.kind == "label":
        return cells.filter(pc.not_equal(cells, "")) if column.may_be_empty else cells
    names = (name for text in cells.to_pylist() for name in class_names(text, column.kind))
    return pa.chunked_array([pa.array(names, pa.string())])


def plain_texts(cells: pa.ChunkedArray, kind: ColumnKind) -> pa.ChunkedArray:
    """Give the words of a column, without the JSON around them."""
    if kind not in ("words", "json"):
        return cells
    texts = [plain_text(text, kind) for text in cells.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _cast(values: pa.Array, address: str, column: str) -> pa.Array:
    """Cast to text; bytes that are no UTF-8 are complained of here, not in the middle of a task."""
    try:
        plain = values.cast(pa.string())
        plain.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{address}: column {column} holds what is no text ({error}). Write the file again"
        ) from error
    return plain


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*tests, pa.types.is_null))


def _from(address: str, first_row: int) -> str:
    return f"{address} from row {first_row} on"


def _plain(value: object, asked: Asked) -> object:
    """Leave out the keys without values that Arrow gives every object of a column."""
    return _without_nulls(value) if asked.kind == "json" else value


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
