"""Whether a file has the columns asked for and values that can be text or labels; no reading here.

Text stays as it is; integer labels become their decimal strings. Anything else raises DataError.
"""

from collections.abc import Sequence
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError

LABEL_ADVICE = "Write labels as strings or integers"


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
    near = {near for column in missing for near in get_close_matches(column, found, n=2)}
    kept = [column for column in found if column in near] or list(found)[:8]
    kind = "Nearest" if near else "It has"
    raise DataError(
        f"{address} has no column {', '.join(missing)}. {kind}: {', '.join(kept) or 'no columns'}. "
        "Name the columns under task, or in the source's columns"
    )


def text_value(value: object, place: str, column: str) -> str | None:
    """Take a text as it is; raises DataError for anything but a string or nothing."""
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"{place}: column {column} is {_kind(value)}, not text. Write it as a string")


def label_value(value: object, place: str, column: str) -> str | None:
    """Take a label as its name; raises DataError for neither a string, an integer nor nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{place}: label in column {column} is {_kind(value)}. {LABEL_ADVICE}")


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
    raise DataError(f"{address}: label column {column} holds {kind} values. {LABEL_ADVICE}")


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


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a number with a fraction"}
    kind = kinds.get(type(value), "a list" if isinstance(value, list) else "an object")
    return f"{kind} ({str(value)[:40]})"
