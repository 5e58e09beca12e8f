"""Explain one key of a recipe: its sentence, type, default and bounds, or the keys of a section."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import RecipeError
from configs.load import recipe_schema

BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "characters, at least",
    "maxLength": "characters, at most",
    "minItems": "entries, at least",
    "maxItems": "entries, at most",
}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "array": "list",
    "object": "mapping",
}
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Explanation:
    """What the schema says of a key, or of each kind of a section that is called like it."""

    key: str
    sentence: str
    type: str
    default: str | None
    """As YAML's flow style writes it; None where the key must be given."""
    bounds: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    """Keys of a section with their sentences, each with its default behind it."""


def explain(key: str) -> list[Explanation]:
    """Return what a dotted key means: once, or for each `task.kind` that means something else.

    Raises RecipeError with the nearest key when there is no such key.
    """
    schema = recipe_schema()
    found = list(dict.fromkeys(_find(schema, schema, key.split("."), key)))
    if not found:
        keys = [*_every_key(schema, schema, "")]
        homes = [each for each in keys if each.rpartition(".")[2] == key]
        near = homes or difflib.get_close_matches(key, keys, n=1)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See all of them: thaw schema"
        raise RecipeError(f"{key or repr(key)} is not a key of a recipe. {hint}")
    return found


def _find(root: Schema, section: Schema, names: list[str], key: str) -> Iterator[Explanation]:
    name, *inner = names
    for _, properties, required in _sections(root, section):
        if name not in properties:
            continue
        if inner:
            yield from _find(root, properties[name], inner, key)
        else:
            yield _explained(root, properties[name], key, given=name in required)


def _explained(root: Schema, found: Schema, key: str, *, given: bool) -> Explanation:
    sections = [*_sections(root, found)]
    keys = {
        f"{name}{f' ({kind})' if kind and len(sections) > 1 else ''}": _with_default(
            value, given=name in required
        )
        for kind, properties, required in sections
        for name, value in properties.items()
    }
    plain = [*_plain(root, found)]
    return Explanation(
        key=key,
        sentence=next(
            str(each["description"]) for each in (found, *plain) if "description" in each
        ),
        type=" or ".join(dict.fromkeys(map(_type_name, plain))),
        default=_default(found, given=given),
        bounds=tuple(
            f"{words} {each[bound]:,}"
            for each in plain
            for bound, words in BOUNDS.items()
            if bound in each
        ),
        keys=tuple(keys.items()),
    )


def _default(found: Schema, *, given: bool) -> str | None:
    default = found.get("default")
    return None if given or isinstance(default, dict) else json.dumps(default, ensure_ascii=False)


def _with_default(found: Schema, *, given: bool) -> str:
    """Give the sentence of a key, and what it is where nobody says; of a section the sentence."""
    sentence = str(found.get("description", ""))
    default = _default(found, given=given)
    return sentence if default in (None, "null") else f"{sentence} Default {default}."


def _sections(root: Schema, found: Schema) -> Iterator[tuple[str, Schema, list[str]]]:
    """Yield the sections that a value may be, or its entries: kind, properties, required keys."""
    for each in _plain(root, found):
        if "items" in each:
            yield from _sections(root, each["items"])
        elif "properties" in each:
            kind = each["properties"].get("kind", {}).get("const", "")
            yield str(kind), each["properties"], each.get("required", [])


def _plain(root: Schema, found: Schema) -> Iterator[Schema]:
    """Yield what a value may be, with references and alternatives resolved."""
    if "$ref" in found:
        yield from _plain(root, root["$defs"][found["$ref"].rpartition("/")[2]])
        return
    choices = found.get("anyOf") or found.get("oneOf")
    if choices is None:
        yield found
        return
    for each in choices:
        yield from _plain(root, each)


def _type_name(found: Schema) -> str:
    if "enum" in found:
        return " or ".join(str(value) for value in found["enum"])
    if "const" in found:
        return str(found["const"])
    return TYPES.get(str(found.get("type", "")), "any value")


def _every_key(root: Schema, section: Schema, prefix: str) -> Iterator[str]:
    for _, properties, _ in _sections(root, section):
        for name, value in properties.items():
            yield f"{prefix}{name}"
            yield from _every_key(root, value, f"{prefix}{name}.")
