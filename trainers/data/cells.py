"""One cell of a row, as any source may hold it, turned into the text that preparation carries.

What the kinds are stands in configs/task_columns.py; columns of Arrow files are taken as a whole in
columns.py. A value that its column cannot hold raises DataError.
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from configs.errors import DataError
from configs.task_columns import Column, ColumnKind
from trainers import storage

LABEL_ADVICE = "Write labels as strings or integers"
IMAGE_BYTES = "data:;base64,"
"""What the text of an image begins with that is carried itself."""
EMPTY_LIST = "[]"
MARKED = (1, "1", "1.0")
MARKS = (0, "0", "0.0", *MARKED)
"""What a vector has that marks labels; label_readings.py says what is meant."""
SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Asked:
    """One column that is read of a source."""

    name: str
    """What the source calls it."""
    kind: ColumnKind | Literal["key"]
    """A key is any single value that rows are split by."""
    names: tuple[str, ...] = ()
    """Names of the classes, where the source may hold their numbers."""
    folder: str | None = None
    """What the addresses of images are relative to; None where that is nothing."""
    missing: tuple[str, ...] = ()
    """Words that stand for no number."""


def cell_text(value: object, asked: Asked, place: str) -> str | None:
    """Give the text of one cell; None for no value.

    Raises DataError, naming `place` and column, for a value that the column cannot hold.
    """
    return None if value is None else _READERS[asked.kind](value, asked, place)


def empty_text(column: Column) -> str:
    """Give what is carried for a cell without a value, where there may be none."""
    return EMPTY_LIST if column.kind in ("labels", "tags", "words") else ""


def class_names(text: str, kind: ColumnKind) -> list[str]:
    """Give the classes in the text of a target: one for a label, those of the list for others."""
    if kind == "label" or not text:
        return [text] if text else []
    names: list[str] = json.loads(text)
    return names


def plain_text(text: str, kind: ColumnKind) -> str:
    """Give the words in the text of a cell, without the JSON around them."""
    return " ".join(_strings(json.loads(text))) if kind in ("words", "json") and text else text


def json_text(value: object) -> str:
    """Write a value as JSON without blanks; raises ValueError or TypeError for what is none."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def describe(value: object) -> str:
    """Name a value and its kind, for a sentence about it."""
    kinds: dict[type, str] = {
        bool: "true or false",
        int: "an integer",
        float: "a number with a fraction",
        str: "text",
        bytes: "bytes",
        list: "a list",
        dict: "an object",
    }
    return f"{kinds.get(type(value), type(value).__name__)} ({str(value)[:SHOWN_CHARACTERS]})"


def _text(value: object, asked: Asked, place: str) -> str:
    if isinstance(value, str):
        return value
    raise DataError(
        f"{place}: column {asked.name} is {describe(value)}, not text. Write it as a string"
    )


def _label(value: object, asked: Asked, place: str) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isinf(value):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    if not isinstance(value, int):
        raise DataError(
            f"{place}: label in column {asked.name} is {describe(value)}. {LABEL_ADVICE}"
        )
    if not asked.names:
        return str(value)
    if value >= len(asked.names):
        raise DataError(
            f"{place}: column {asked.name} has class {value} where dataset_info.json names "
            f"{len(asked.names)}. Save the data set again"
        )
    return asked.names[value] if value >= 0 else None


def _labels(value: object, asked: Asked, place: str) -> str:
    if isinstance(value, str):
        if not value.strip():
            return ""
        listed = _json_list(value, asked, place, "labels")
        value = listed if listed is not None else [n for n in map(str.strip, value.split(",")) if n]
    items = value if isinstance(value, list | tuple) else [value]
    if len(items) > 1 and all(item in MARKS for item in items):
        return json_text([int(item in MARKED) for item in items])
    named = (_label(item, asked, place) for item in items if item is not None)
    names = {name for name in named if name is not None}
    if "" in names:
        raise DataError(f"{place}: column {asked.name} has an empty label. Name it, or take it out")
    return json_text(sorted(names))


def _tags(value: object, asked: Asked, place: str) -> str:
    if isinstance(value, str):
        if not value.strip():
            return ""
        listed = _json_list(value, asked, place, "tags")
        value = listed if listed is not None else value.split()
    if not isinstance(value, list | tuple):
        raise _no_list(describe(value), "tags", asked, place)
    for item in value:
        if not (isinstance(item, str | int) or (isinstance(item, float) and item.is_integer())):
            raise _no_list(f"a list with {describe(item)}", "tags", asked, place)
    tags = [_label(item, asked, place) for item in value]
    if not all(tags):
        number = next(number for number, tag in enumerate(tags, 1) if not tag)
        raise DataError(
            f"{place}: tag {number} in column {asked.name} is empty. Give each word one"
        )
    return json_text(tags)


def _words(value: object, asked: Asked, place: str) -> str:
    if isinstance(value, str):
        if not value.strip():
            return ""
        value = _listed_words(value, asked, place)
    if not isinstance(value, list | tuple):
        raise _no_list(describe(value), "words", asked, place)
    for item in value:
        if not isinstance(item, str):
            raise _no_list(f"a list with {describe(item)}", "words", asked, place)
    return json_text(list(value))


def _number(value: object, asked: Asked, place: str) -> str:
    if isinstance(value, str) and value.strip() in ("", *asked.missing):
        return ""
    if isinstance(value, float) and math.isnan(value):
        return ""
    # Python also takes 1_000 for a number; no other program writes that.
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and "_" not in value):
        try:
            number = float(value)  # type: ignore[arg-type]  # one of the four, as said above
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return repr(number)
    raise DataError(
        f"{place}: column {asked.name} is {describe(value)}, not a number. Write a finite number, "
        "such as 0.5"
    )


def _json(value: object, asked: Asked, place: str) -> str:
    found = value
    try:
        if isinstance(value, str):
            if not value.strip():
                return ""
            found = json.loads(value)
        if isinstance(found, list | dict):
            return json_text(found)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{place}: column {asked.name} is no JSON: {error}. Write a list or an object"
        ) from error
    raise DataError(
        f"{place}: column {asked.name} is {describe(found)}, not a list or an object. "
        "Write one, or JSON text of one"
    )


def _image(value: object, asked: Asked, place: str) -> str | None:
    given = value
    if isinstance(given, dict) and set(given) <= {"bytes", "path"}:
        given = given.get("bytes") or given.get("path")
    if given is None:
        return None
    if isinstance(given, bytes | bytearray | memoryview):
        return IMAGE_BYTES + base64.b64encode(given).decode()
    if not isinstance(given, str):
        raise DataError(
            f"{place}: an image is the address of a file or its bytes, found {describe(value)} in "
            f"column {asked.name}. Give one of them"
        )
    address = given.strip()
    if not address or address.startswith(("data:", "/")) or "://" in address:
        return address
    if asked.folder is None:
        raise DataError(
            f"{place}: the address of the image in column {asked.name} ({address}) is relative, "
            "and no file's folder is known. Write the whole address"
        )
    return storage.join(asked.folder, address)


def _key(value: object, asked: Asked, place: str) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int | Decimal | UUID):
        return str(value)
    raise DataError(
        f"{place}: column {asked.name} is {describe(value)}, and rows are split by it. Write one "
        "text, number or time"
    )


_READERS: dict[str, Callable[[Any, Asked, str], str | None]] = {
    "text": _text,
    "label": _label,
    "labels": _labels,
    "tags": _tags,
    "words": _words,
    "number": _number,
    "json": _json,
    "image": _image,
    "key": _key,
}


def _json_list(text: str, asked: Asked, place: str, what: str) -> list[Any] | None:
    """Read text that begins like a JSON list; None for other text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found: list[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_list(f"{text[:SHOWN_CHARACTERS]!r}, no JSON", what, asked, place) from error
    return found


def _listed_words(text: str, asked: Asked, place: str) -> Sequence[Any]:
    """Read a JSON list of strings, else words with blanks between them; a bracket is a word."""
    if text.lstrip().startswith(('["', "['")):
        return _json_list(text, asked, place, "words") or []
    return [] if text.strip() == EMPTY_LIST else text.split()


def _no_list(found: str, what: str, asked: Asked, place: str) -> DataError:
    """Give the sentence about what is no list of strings."""
    between = "commas" if what == "labels" else "blanks"
    return DataError(
        f"{place}: {what} in column {asked.name} are no list of strings but {found}. Write a list, "
        f"or text with {between} between them"
    )


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = list(value.values()) if isinstance(value, dict) else value
    return [text for item in items for text in _strings(item)] if isinstance(items, list) else []
