"""Say what is wrong with a recipe, all at once, one sentence each; YAML is read elsewhere."""

import difflib
import functools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from configs.schema import Recipe
from configs.training_arguments import COLUMN_WORDS, TRAINING_ARGUMENTS

MAX_TOLD = 20
"""Problems that a person is told of at once; the others are counted."""
MAX_HOMES = 3
"""Sections that a key may be meant in."""
MAX_NAME = 60
"""Characters of an unknown key by which the nearest known one is looked for."""

Path = tuple[str | int, ...]

ALLOWED = "Allowed here: "

PLACEHOLDERS: dict[str, Any] = {
    "name": "unnamed",
    "model": {"path": "unnamed"},
    "model.path": "unnamed",
    "task": {"kind": "text_classification"},
    "task.kind": "text_classification",
    "data": {"train": "unnamed"},
    "data.train": "unnamed",
}
"""Stand-ins for what is missing, so that the checks between sections still run."""

EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "letters, digits and . _ - or spaces between them, at most 63",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "invalid_key": "text",
    "too_short": "something that is not empty",
    "too_long": "a list of at most {max_length:,}",
    "greater_than": "greater than {gt:,}",
    "greater_than_equal": "at least {ge:,}",
    "less_than": "less than {lt:,}",
    "less_than_equal": "at most {le:,}",
}

SHORT_FORMS = {"freezing": ["head", "full"]}
"""Values that may stand for a section, where not every one of its first key may."""

ABSENT = ("missing", "union_tag_not_found")
SECTION_TYPES = ("model_type", "model_attributes_type", "dict_type")


def describe_problems(value: dict[str, Any], origins: Mapping[Path, str]) -> list[str]:
    """Check plain values as a recipe; give one sentence per problem, none when all is well.

    What is wrong is set aside and the rest checked again, so that a wrong type does not hide
    sections that disagree. `origins` names the place where a path was given. Of very many problems
    the last sentence gives the number.
    """
    remaining = _copied(value)
    problems: dict[str, None] = {}
    untold = 0
    doubtful: set[str] = set()  # dotted keys that were set aside; what depends on them is unknown
    for _ in range(5):
        try:
            Recipe.model_validate(remaining)
        except ValidationError as error:
            found = list(_grouped(error.errors(include_url=False), remaining))
            before = frozenset(doubtful)
            for path, detail, is_union in found:
                is_told = len(problems) < MAX_TOLD
                untold += not is_told
                for sentence in _sentences(path, detail, is_union) if is_told else ():
                    if not _depends(path, sentence, before):
                        problems[place_of(path, origins) + sentence] = None
                doubtful |= _set_aside(remaining, path, detail)
        else:
            break
    told = {sentence.partition(": found ")[0] for sentence in problems}
    booleans = [
        each for each in _booleans(value, origins) if each.partition(": found ")[0] not in told
    ]
    return limited([*_listing_once(problems), *booleans], untold)


def _listing_once(sentences: Iterable[str]) -> Iterator[str]:
    """Yield sentences, of which only the first of a section lists its keys."""
    listed = set()
    for sentence in sentences:
        said, _, keys = sentence.partition(ALLOWED)
        yield f"{said}Use one of the keys above." if keys in listed else sentence
        listed |= {keys} - {""}


def limited(problems: list[str], untold: int = 0) -> list[str]:
    """Give the first sentences, and one that counts the others; `untold` have none yet."""
    untold += max(0, len(problems) - MAX_TOLD)
    more = "is 1 more problem" if untold == 1 else f"are {untold:,} more problems"
    rest = f"There {more}. Correct these first."
    return [*problems[:MAX_TOLD], rest] if untold else problems


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return value


def _grouped(
    details: Sequence[ErrorDetails], value: Any
) -> Iterator[tuple[Path, ErrorDetails, bool]]:
    """Yield one problem per YAML path: the members of a union are one problem, not several."""
    seen: set[Path] = set()
    for detail in details:
        member = str(detail["loc"][-1]) if detail["loc"] else ""
        if member.startswith("literal[") and isinstance(detail["input"], Mapping):
            continue  # the other members of the union say what is wrong in the mapping
        path, is_union = _yaml_path(detail, value)
        if path in seen and (is_union or detail["type"] in ABSENT):
            continue
        seen.add(path)
        yield path, detail, is_union


def _yaml_path(detail: ErrorDetails, value: Any) -> tuple[Path, bool]:
    """Turn pydantic's location, which also names union members, into the path in the YAML."""
    path: list[str | int] = []
    loc = detail["loc"]
    tag = str(detail.get("ctx", {}).get("discriminator", "")).strip("'")
    if tag and not tag.endswith("()"):
        return (*loc, tag), False
    for index, part in enumerate(loc):
        is_index = isinstance(value, list | tuple) and part in range(len(value))
        if is_index or (isinstance(value, Mapping) and part in value):
            value = value[part]
        elif isinstance(value, Mapping | list | tuple) and isinstance(part, str):
            if index < len(loc) - 1 or detail["type"] == "value_error":
                continue  # the tag of a discriminated union
            if not isinstance(value, Mapping):
                return tuple(path), True
        else:
            return tuple(path), True  # a member of a union, or an item that is missing
        path.append(part)
    return tuple(path), bool(tag)


def _sentences(path: Path, detail: ErrorDetails, is_union: bool) -> list[str]:
    """Say what was found, what is allowed and what is nearest."""
    dotted = ".".join(map(str, path))
    kind, found = detail["type"], _shown(detail["input"])
    if kind == "union_tag_invalid" and not is_union:
        tag = detail["ctx"]["tag"]
        kind, found = "literal_error", _shown(None if tag == "None" else tag)
    if kind == "value_error":
        text = str(detail["ctx"]["error"])
        return [_sentence(part if not path else f"{dotted}: {part}") for part in text.split("; ")]
    if kind == "extra_forbidden":
        return [_unknown(path, dotted, detail)]
    field = _field(path)
    about = (field.description or "").split("; None")[0].rstrip(".") if field else ""
    choices = _choices(path)
    absent = kind == "union_tag_not_found" or (kind == "missing" and detail["loc"][-1] == path[-1])
    if absent and field is not None:
        allowed = f" ({' or '.join(choices)})" if choices else ""
        return [_sentence(f"{dotted} is missing. Give it{allowed}: {about}")]
    if kind == "literal_error":
        choices = choices or SHORT_FORMS.get(dotted) or _choices(detail["loc"])
        near = difflib.get_close_matches(found.strip("'"), choices, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return [f"{dotted}: found {found}, allowed is {' or '.join(choices)}.{hint}"]
    bounds = {key: _bound(value) for key, value in detail.get("ctx", {}).items()}
    expected = EXPECTED.get(kind.removesuffix("_size"), "").format(**bounds)
    if is_union or not expected:
        return [_sentence(f"{dotted}: found {found}. Give {about[:1].lower() + about[1:]}")]
    hint = _short_form(path, detail["input"]) if kind in SECTION_TYPES else ""
    if isinstance(detail["input"], int | float) and expected == "text":
        hint = " Put quotes around it."
    return [f"{dotted}: found {found}, must be {expected}.{hint}"]


def _bound(value: Any) -> Any:
    """Return a whole number for a float that is one: 0.0 is said as 0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _short_form(path: Path, given: Any) -> str:
    """Say how a single value is written as the section that it was meant for."""
    if not isinstance(given, str | int | float):
        return ""
    for section in _sections_at(path):
        fields = section.model_fields
        needed = [name for name, field in fields.items() if field.is_required()]
        for name in needed[:1] or list(fields)[:1]:
            try:
                section.model_validate({name: given})
            except ValidationError:
                continue
            return f" Write it as {{{name}: {_shown(given).strip(chr(39))}}}."
    return ""


def _has_keys(path: Path, given: Mapping[str, Any]) -> bool:
    """Whether some key of a mapping is one of the section at a path."""
    return any(key in section.model_fields for section in _sections_at(path) for key in given)


def _home(name: str) -> str | None:
    """Give the dotted key that a person means who knows its last name."""
    if name in Recipe.model_fields:
        return name
    return TRAINING_ARGUMENTS.get(name) or every_key().get(name)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _unknown(path: Path, dotted: str, detail: ErrorDetails) -> str:
    """Say that a key does not exist, with the nearest one that does."""
    given = detail["input"]
    sections = list(_sections_at(path[:-1]))
    chosen = [one for one in sections if {*detail["loc"]} & {*_tags(one)}]  # a member of a union
    keys = list(dict.fromkeys(key for one in chosen or sections for key in one.model_fields))
    name = str(path[-1])[:MAX_NAME]
    everywhere = every_key()
    near = difflib.get_close_matches(name, keys, n=1)
    if len(path) == 1 and name not in TRAINING_ARGUMENTS and name in everywhere:
        homes = dict.fromkeys(home for key, home in _all_keys(Recipe) if key == name)
        meant = " or ".join([*homes][:MAX_HOMES])
        return f"{dotted} is not a key of a recipe. Did you mean {meant}?"
    if isinstance(given, Mapping) and not (near and _has_keys((*path[:-1], near[0]), given)):
        homes = {home: None for key in list(given)[:MAX_TOLD] if (home := _home(str(key)))}
        if homes:
            return (
                f"{dotted} is not a key of a recipe. Write what is in it as {_listed(list(homes))}."
            )
    nearest = None
    if near and (near[0].startswith(name) or name not in TRAINING_ARGUMENTS):
        nearest = ".".join(map(str, (*path[:-1], near[0])))
    elif name in TRAINING_ARGUMENTS:
        nearest = TRAINING_ARGUMENTS[name]
    elif alike := [key for words in COLUMN_WORDS if name in words for key in words if key in keys]:
        nearest = ".".join(map(str, (*path[:-1], alike[0])))
    elif elsewhere := _elsewhere(name, within=len(path) > 1):
        nearest = everywhere[elsewhere]
    if nearest is not None and nearest != dotted:
        return f"{dotted} is not a key of a recipe. Did you mean {nearest}?"
    return f"{dotted} is not a key of a recipe. {ALLOWED}{', '.join(keys)}."


def _tags(section: type[BaseModel]) -> tuple[str, ...]:
    """Return the values by which a section is chosen in a union; most have none."""
    field = section.model_fields.get("kind")
    return typing.get_args(field.annotation) if field is not None else ()


def _elsewhere(name: str, *, within: bool) -> str | None:
    """Return the key of another section that is meant; within a section it must be the only one."""
    names = [key for key, _ in _all_keys(Recipe)]
    near = difflib.get_close_matches(name, every_key(), n=1, cutoff=0.9 if within else 0.8)
    return next((key for key in near if not within or names.count(key) == 1), None)


def place_of(path: Path, origins: Mapping[Path, str]) -> str:
    """Name the line, or the option, that gave a path or the section around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return f"{origins[path[:length]]}: "
    return f"{origins[()].split(',')[0]}: " if () in origins else ""


def _depends(path: Path, sentence: str, doubtful: frozenset[str]) -> bool:
    """Say whether a later problem may only follow from what was set aside before."""
    dotted = ".".join(map(str, path))
    return any(
        key == dotted
        or (path and key.startswith(f"{dotted}."))
        or key in sentence
        or (not path and f"{key}." in sentence)
        for key in doubtful
    )


def _set_aside(value: dict[str, Any], path: Path, detail: ErrorDetails) -> set[str]:
    """Take what is wrong out of the values; give the dotted keys that are in doubt now."""
    dotted = ".".join(map(str, path))
    if not path:
        return set()
    section: Any = value
    for part in path[:-1]:
        if not isinstance(section, dict) or not isinstance(section.get(part), dict):
            break
        section = section[part]
    keys = [part for part in path if isinstance(section, dict) and part in section]
    if detail["type"] == "union_tag_invalid" and keys:
        near = difflib.get_close_matches(str(section[keys[-1]]), _choices(path), n=1)
        section[keys[-1]] = near[0] if near else PLACEHOLDERS.get(dotted, "unnamed")
    elif keys:
        del section[keys[-1]]
    elif detail["type"] in ABSENT and dotted in PLACEHOLDERS and isinstance(section, dict):
        section[path[-1]] = PLACEHOLDERS[dotted]
    if detail["type"] == "extra_forbidden" and len(path) > 1:
        return {dotted, ".".join(map(str, path[:-1]))}
    return {dotted}


def _booleans(value: Any, origins: Mapping[Path, str]) -> Iterator[str]:
    """Yield a sentence for each true or false that pydantic would take for a number."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, given = waiting.pop()
        if isinstance(given, Mapping):
            waiting += [((*path, str(key)), inner) for key, inner in given.items()]
        elif isinstance(given, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(given)]
        elif isinstance(given, bool) and (types := _types_at(path)):
            numbers = {int, float} & types or {
                type(choice)
                for one in types
                if typing.get_origin(one) is typing.Literal
                for choice in typing.get_args(one)
            } == {int}
            if numbers and not types & {bool, Any, str}:
                dotted = ".".join(map(str, path))
                yield f"{place_of(path, origins)}{dotted}: found {_shown(given)}, must be a number."


def _shown(value: Any) -> str:
    """Show a value as YAML would, cut to what a line can hold."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        parts = ["a list" if isinstance(each, list) else _shown(each) for each in value[:MAX_TOLD]]
        text = f"[{', '.join(parts)}{', ...' if len(value) > MAX_TOLD else ''}]"
    else:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a field's annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _sections(inner)


def _sections_at(path: Path) -> list[type[BaseModel]]:
    """Give the sections that stand at a path."""
    sections: list[type[BaseModel]] = [Recipe]
    for part in path:
        if isinstance(part, int):
            continue  # an item of a list of sections
        fields = [section.model_fields.get(part) for section in sections]
        sections = [s for field in fields if field for s in _sections(field.annotation)]
    return sections


def _field(path: Path) -> FieldInfo | None:
    """Give the field at a path, or the one around a list item."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return None
    fields = [section.model_fields.get(names[-1]) for section in _sections_at(tuple(names[:-1]))]
    return next((field for field in fields if field is not None), None)


def _types_at(path: Path) -> set[Any]:
    """Return the types of what stands at a path, also of a value in a mapping of any keys."""
    if (field := _field(path)) is not None:
        return set(_types(field.annotation))
    outer = _field(path[:-1])
    ways = (outer.annotation, *typing.get_args(outer.annotation)) if outer is not None else ()
    mappings = [typing.get_args(way) for way in ways if typing.get_origin(way) is dict]
    return {one for _, values in mappings for one in _types(values)}


def _types(annotation: Any) -> Iterator[Any]:
    """Yield the plain types and literals inside an annotation."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal or not arguments:
        yield annotation
    else:
        for inner in arguments:
            yield from _types(inner)


def _choices(path: Path) -> list[str]:
    """List the values of a choice, in all sections that it may stand in."""
    names = [part for part in path if isinstance(part, str)]
    sections = _sections_at(tuple(names[:-1])) if names else []
    fields = [section.model_fields.get(names[-1]) for section in sections]
    types = [one for field in fields if field is not None for one in _types(field.annotation)]
    literals = [one for one in types if typing.get_origin(one) is typing.Literal]
    return [str(choice) for one in literals for choice in typing.get_args(one)]


@functools.cache
def every_key() -> dict[str, str]:
    """Give every key of a recipe by its last name, with its dotted path."""
    return dict(_all_keys(Recipe))


def _all_keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of the recipe by its last name, with its dotted path."""
    for name, field in section.model_fields.items():
        yield name, f"{prefix}{name}"
        for inner in _sections(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")
