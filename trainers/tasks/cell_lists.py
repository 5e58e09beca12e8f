"""Read cells that hold more than a text: lists and numbers; where they come from others know."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainers.tasks.refusals import RowError
from trainers.tasks.tokens import strings


def string_lists(column: pa.ChunkedArray, between: str | None = None) -> list[list[str]]:
    """Give the strings of each cell: a list of them, its JSON, or text with `between` between them.

    None stands for blanks.
    """
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [list(map(str, items or ())) for items in column.to_pylist()]
    return [_strings_of(text or "", between) for text in strings(column).to_pylist()]


def places_among(
    lists: list[list[str]], names: tuple[str, ...], column: str, what: str
) -> pa.ChunkedArray:
    """Give the place of each string among the names: a list<int32> a row.

    Raises RowError for a string that is none of them; `what` says what the strings are.
    """
    flat = pa.array([item for items in lists for item in items], pa.string())
    found = pc.index_in(flat, value_set=pa.array(names, pa.string()))
    ends = np.cumsum([0, *map(len, lists)])
    if found.null_count:
        place = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
        raise RowError(
            int(np.searchsorted(ends, place, side="right")) - 1,
            f"{what} {flat[place].as_py()!r} in column {column} is none of {len(names)}. "
            "Add it to task.labels, or rows with it to the training data",
        )
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(ends, pa.int32()), found)])


def finite_numbers(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Give the number in each cell as float32; raises RowError for a cell without a finite one."""
    numbers = np.array([_number_of(cell) for cell in column.to_pylist()])
    # Whether NaN, infinite or too large for the type: none of them is within.
    wrong = np.flatnonzero(~(np.abs(numbers) <= np.finfo(np.float32).max))
    if len(wrong):
        place = int(wrong[0])
        raise RowError(
            place,
            f"column {name} has {column[place].as_py()!r} where a finite number is to be told. "
            "Write a number such as 0.5, or leave the row out",
        )
    return pa.chunked_array([pa.array(numbers.astype(np.float32))])


def _strings_of(text: str, between: str | None) -> list[str]:
    if text == "[]" or text.startswith('["'):
        return [str(item) for item in json.loads(text)]
    return [item for item in map(str.strip, text.split(between)) if item]


def _number_of(cell: object) -> float:
    if not isinstance(cell, str | int | float) or isinstance(cell, bool):
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return math.nan
