"""Whether a file has the columns asked for and values that can be text or labels; no reading here.

Text stays as it is; integer labels become their decimal strings. Anything else raises DataError.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

import pyarrow as pa

from configs.errors import DataError

LABEL_ADVICE = "Write labels as strings or integers"


def check_columns(address: str, asked: Iterable[str], found: Collection[str]) -> None:
    """Raise DataError naming the columns that a file lacks, and the nearest ones it has."""
    missing = [column for column in asked if column not in found]
    if not missing:
        return
    near = {near for column in missing for near in get_close_matches(column, found, n=2)}
    kept = [column for column in found if column in near] or list(found)[:8]
    kind = "Nearest" if near else "It has"
    raise DataError(
        f"{address} has no column {', '.join(missing)}. {kind}: {', '.join(kept) or 'no columns'}. "
        "Name the columns under task"
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
        return values.cast(pa.string())
    raise DataError(
        f"{address}: column {column} holds {values.type} values, not text. Write them as strings"
    )


def label_array(values: pa.Array, address: str, column: str) -> pa.Array:
    """Take a column of strings or integers as label names; raises DataError for another type."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if _is_text(kind) or pa.types.is_integer(kind):
        plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        return plain.cast(pa.string())
    raise DataError(f"{address}: label column {column} holds {kind} values. {LABEL_ADVICE}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*tests, pa.types.is_null))


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a number with a fraction"}
    kind = kinds.get(type(value), "a list" if isinstance(value, list) else "an object")
    return f"{kind} ({str(value)[:40]})"
