"""Draw recipes out of the schema: whatever keys it has, without knowing what they are for."""

import copy
import random
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from configs.schema import Recipe

SCHEMA = Recipe.model_json_schema()
WORDS = (
    "text", "label", "a b", "\u00fc", "no", "1e3", "007", "null", "10%", "0.5", "own:f", "own.a:g",
    "data/x.csv", "s3://bucket/x", "d/*.parquet", "last", "accuracy", "loss", ".*bias", "{{ x }}",
    "8GiB", "1:1", "latin-1", ";", "$HOME", "~", "'", "a: b", "# c", "- d", "", " ",
)  # fmt: skip
SECTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"freezing": {"lora": {"rank": 4}}},
    {"freezing": {"schedule": [{"epochs": 1, "learn": {"last": 1}}, {"learn": "full"}]}},
    {
        "data": {"validation": "10%"},
        "freezing": {
            "schedule": [
                {
                    "until_stall": {"max_epochs": 2, "metric": "accuracy", "min_delta": 0.01},
                    "learn": "head",
                },
                {"learn": "full"},
            ]
        },
    },
    {"augmentation": {"images": {"crop": 0.5, "rotate": 10, "mixup": 0.2}}},
    {"early_stopping": {"metric": "loss"}, "data": {"validation": "10%"}},
    {
        "data": {
            "train": [{"path": "a.csv"}],
            "validation": {"path": "b", "encoding": "utf-8"},
            "test": {"path": "c", "encoding": "latin-1"},
        }
    },
    {"data": {"cleaning": {"near_duplicates": {"threshold": 0.9}}}},
    {"cluster": {"env": {"A": "1"}, "resources_per_worker": {"x": 1}}},
    {"zero": {"stage": 3, "overrides": {"wall_clock_breakdown": True}}},
)
"""Laid over a base in turn, so that what stands inside of sections is drawn as well."""
BASES: tuple[dict[str, Any], ...] = tuple(
    {
        "name": "x",
        "model": {"path": "m"},
        "task": {"kind": kind} | more,
        "data": {"train": "a.csv"} | ({"validation": "10%"} if number % 2 else {}),
    }
    for number, (kind, more) in enumerate(
        [
            ("text_classification", {}),
            ("text_classification", {"text_b": "second", "labels": ["no", "1", "a b"]}),
            ("multi_label_classification", {"threshold": 0.25}),
            ("text_regression", {"text_b": "second"}),
            ("token_classification", {"labels": ["O", "B-x", "I-x"]}),
            ("image_classification", {}),
            ("image_classification", {"image_size": 32}),
            ("sequence_to_sequence", {"prefix": "translate: "}),
            ("language_modeling", {}),
            ("instruction_tuning", {}),
            ("instruction_tuning", {"messages": "messages"}),
            ("instruction_tuning", {"input": "about", "loss_on": "all"}),
            ("sentence_embedding", {"negative": "other"}),
            ("sentence_embedding", {"score": "near"}),
        ]
    )
)


def draw_recipes(seed: int, tries: int) -> Iterator[tuple[dict[str, Any], Recipe]]:
    """Yield what a person could have written, with the recipe that it is; pass over the rest."""
    source = random.Random(seed)
    for number in range(tries):
        value = copy.deepcopy(BASES[number % len(BASES)])
        for key, section in SECTIONS[source.randrange(len(SECTIONS))].items():
            value[key] = {**value.get(key, {}), **copy.deepcopy(section)}
        _change(source, value, SCHEMA, source.choice((1, 1, 2, 3)))
        try:
            yield value, Recipe.model_validate(value)
        except ValidationError:
            continue


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted keys of what a person wrote; an entry of a list has no number."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for each in value:
            yield from paths(each, path)
    else:
        yield path


def all_paths(schema: Any = SCHEMA, path: str = "", seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted key of everything that a recipe may say."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in seen:
            yield from all_paths(SCHEMA["$defs"][name], path, (*seen, name))
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        for one in choices:
            yield from all_paths(one, path, seen)
    elif schema.get("type") == "array" and {"$ref", "anyOf"} & set(schema.get("items", ())):
        yield from all_paths(schema["items"], path, seen)
    elif "properties" in schema:
        for key, inner in schema["properties"].items():
            yield from all_paths(inner, f"{path}.{key}" if path else key, seen)
    else:
        yield path


def _change(source: random.Random, value: dict[str, Any], schema: Any, times: int) -> None:
    """Set some keys of a mapping, or of the mappings in it, to what their schema allows."""
    fields = _plain(source, schema, value).get("properties", {})
    names = [name for name in fields if name not in ("name", "kind")]
    for _ in range(times if names else 0):
        deep = [name for name in names if isinstance(value.get(name), dict | list)]
        key = source.choice(deep if deep and source.random() < 0.6 else names)
        inner, schema = value.get(key), fields[key]
        if isinstance(inner, list) and inner and source.random() < 0.8:
            inner, schema = source.choice(inner), _plain(source, schema, inner).get("items", {})
        if isinstance(inner, dict) and source.random() < 0.8:
            _change(source, inner, schema, source.choice((1, 1, 2)))
        else:
            value[key] = _draw(source, fields[key], depth=0)


def _plain(source: random.Random, schema: Any, value: Any = None) -> Any:
    """Follow references and choose one of several; the one that a mapping's kind names."""
    while True:
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        elif "discriminator" in schema and isinstance(value, dict):
            mapping = schema["discriminator"]["mapping"]
            schema = {"$ref": mapping[value[schema["discriminator"]["propertyName"]]]}
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            if isinstance(value, dict):
                choices = [one for one in choices if "$ref" in one] or choices
            if isinstance(value, list):
                choices = [one for one in choices if one.get("type") == "array"] or choices
            schema = source.choice(choices)
        else:
            return schema


def _draw(source: random.Random, schema: Any, depth: int) -> Any:
    """Draw a value of a schema."""
    schema = _plain(source, schema)
    if "const" in schema or "enum" in schema:
        return source.choice(schema.get("enum") or [schema["const"]])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        asked = set(schema.get("required", ()))
        names = [name for name in schema["properties"] if name in asked or source.random() < 0.3]
        return {name: _draw(source, schema["properties"][name], depth + 1) for name in names}
    if kind == "object":
        keys = source.sample(("A", "B_1", "data", "x"), source.choice((1, 2)))
        inner = schema.get("additionalProperties")
        inner = inner if isinstance(inner, dict) else {"type": "string"}
        return {key: _draw(source, inner, depth + 1) for key in keys}
    if kind == "array":
        inner = schema.get("items") or {"anyOf": schema.get("prefixItems", [{"type": "string"}])}
        count = schema.get("minItems", source.choice((0, 1, 2, 3)))
        return [_draw(source, inner, depth + 1) for _ in range(count)]
    return _leaf(source, schema, kind)


def _leaf(source: random.Random, schema: Any, kind: str | None) -> Any:
    if kind == "boolean":
        return source.random() < 0.5
    if kind == "null":
        return None
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10))
        drawn = source.choice((low, high, low + (high - low) * source.random(), 1, 2, 0.1))
        return int(drawn) if kind == "integer" else drawn
    return source.choice(WORDS)
