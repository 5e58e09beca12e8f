"""Read YAML text into plain values with the line of every key; what the keys mean stands elsewhere.

Types follow YAML 1.2: `1e-5` is a number, `no` and `2024-01-01` are text. Text that is too large,
too deep, or grows by aliases beyond reason is refused before anything is built from it.
"""

import re
from typing import Any

import yaml

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_ALIASES = 100
MAX_NODES = 100_000
FEWER_KEYS = "Give the YAML file of a recipe, which has fewer"
MAX_DIGITS = 300
"""Digits of a number: more than any float has before its point."""
MAX_SHOWN = 60

Path = tuple[str | int, ...]

PROBLEMS = (
    ("'\\t'", "found a tab", "Indent with spaces, not with tabs"),
    ("the tag", None, "Leave the tag out: plain values are read, nothing else"),
    ("unknown escape", None, "Write two backslashes for one, or use single quotes"),
    ("undefined alias", None, "Put quotes around text that begins with *"),
    ("duplicate anchor", None, "Give each anchor its own name"),
    ("quoted scalar", "found no end of a text in quotes", "Close the quotes"),
    ("digits", None, f"Write a number of at most {MAX_DIGITS} digits"),
    ("unhashable key", "found a list or a mapping for a key", "Write keys as plain text"),
    ("merg", "found << with what is no mapping", "Give it one, or leave it out"),
    ("single document", "found a second document", "Leave one in it, before the second ---"),
    ("document start", "found more behind the end of the value", "Write all of it as one mapping"),
    ("flow", "found no end of a bracket, or no comma", "Close the brackets, with commas between"),
    ("cannot start any token", None, "Put quotes around text that begins with a sign"),
    ("mapping values", "found a colon where no key can be", "Put quotes around text with a colon"),
    ("block", "found what fits no key above", "Give all keys of a section the same indent"),
    ("could not find expected ':'", "found a key without a colon", "Write a colon behind it"),
)
"""Words of PyYAML's problems, what is said in their place, and what to do about each."""
PREFIX = "tag:yaml.org,2002:"
CORE = ("null", "bool", "int", "float", "str", "seq", "map")
"""Tags of values that YAML has by itself; dates, sets and the like are not read."""

RESOLVERS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)


class YamlError(Exception):
    """The text cannot be read; `problems` holds one sentence, with its line, for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """The safe loader with the types of YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes what either version of YAML would read as another type."""


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: made
    for tag, made in yaml.SafeLoader.yaml_constructors.items()
    if tag in [f"{PREFIX}{name}" for name in CORE]
}
for _name, _pattern, _first in RESOLVERS:
    _tag = f"{PREFIX}{_name}"
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _unknown(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    tag = node.tag.replace(PREFIX, "!!")
    raise yaml.constructor.ConstructorError(None, None, f"found the tag {tag}", node.start_mark)


def _plain(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """Return the text of a value that a tag may have been put before; refuse what it cannot be."""
    text, kind = str(loader.construct_scalar(node)), node.tag.removeprefix(PREFIX)
    pattern = next(each for name, each, _ in RESOLVERS if name == kind)
    if not re.fullmatch(pattern, text):
        problem = f"found {text[:MAX_SHOWN]!r} behind the tag !!{kind}"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return text


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = _plain(loader, node)
    digits = text.lstrip("+-")
    if len(digits) > MAX_DIGITS:
        problem = f"a number of {len(digits):,} digits"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    number = int(digits, 0) if digits[:2] in ("0x", "0o") else int(digits)
    return -number if text.startswith("-") else number


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(_plain(loader, node))


def _bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return _plain(loader, node).lower() == "true"


def _str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML 6.0.3 writes these line breaks plainly and reads them back as a space.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _str)
_Loader.add_constructor(None, _unknown)
_Loader.add_constructor(f"{PREFIX}int", _int)
_Loader.add_constructor(f"{PREFIX}float", _float)
_Loader.add_constructor(f"{PREFIX}bool", _bool)


def read_yaml(text: str, *, max_keys: int | None = None) -> tuple[Any, dict[Path, int]]:
    """Read one document; give its value and the line (from 1) where each path begins.

    Raises YamlError with one sentence per reason: syntax, duplicate keys, size, aliases, more than
    `max_keys` in the outermost mapping or in one right inside of it.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        said = f"the text has {size:,} bytes, at most {MAX_BYTES:,} are read"
        raise YamlError([f"{said}. Shorten it"])
    try:
        _check_shape(text, max_keys)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            lines: dict[Path, int] = {}
            problems = _walk(node, (), lines)
            if problems:
                raise YamlError(problems)
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlError([f"{where}{_in_words(error)}"]) from error
    except yaml.reader.ReaderError as error:
        raise YamlError(
            [f"character {error.position + 1} is U+{error.character:04X}, no text. Take it out"]
        ) from error
    except (ValueError, OverflowError) as error:
        # PyYAML 6.0.3 does not look at the numbers of escapes and of %YAML.
        said = "an escape, such as \\U00110000, or a version is out of range"
        raise YamlError([f"{said}. Correct it"]) from error


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """Say a problem of PyYAML's parser without its jargon, and what to do about it."""
    whole = f"{error.context}, {error.problem}"
    found = ((said, advice) for words, said, advice in PROBLEMS if words in whole)
    said, advice = next(found, (None, "Correct the YAML there"))
    said = said or str(error.problem).replace("that cannot start any token", "at the beginning")
    said = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in said)
    return f"{said}. {advice}"


def _check_shape(text: str, max_keys: int | None) -> None:
    """Bound depth, aliases and keys from the events, before the slow composer sees the text."""
    depth = aliases = 0
    begun = [0, 0, 0]  # keys and values of the document, the outermost mapping, the one inside it
    for event in yaml.parse(text, Loader=_Loader):
        if max_keys is not None and isinstance(event, yaml.NodeEvent) and 0 < depth < len(begun):
            begun[depth] += 1
            if begun[depth] > 2 * max_keys:
                mark = event.start_mark
                line = mark.line + 1 if mark is not None else 0
                raise YamlError([f"line {line}: more than {max_keys:,} keys. {FEWER_KEYS}"])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth < len(begun):
                begun[depth] = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH:
            raise YamlError([f"values are nested more than {MAX_DEPTH} levels deep. Flatten them"])
        if aliases > MAX_ALIASES:
            raise YamlError([f"more than {MAX_ALIASES} aliases. Write the values out"])


def _walk(root: yaml.Node, start: Path, lines: dict[Path, int]) -> list[str]:
    """Note the line of every path, aliases expanded; give the sentences about duplicate keys."""
    problems: list[str] = []
    waiting: list[tuple[yaml.Node, Path]] = [(root, start)]
    nodes = 0
    while waiting:
        node, path = waiting.pop()
        nodes += 1
        if nodes > MAX_NODES or len(path) > MAX_DEPTH:
            line = node.start_mark.line + 1
            return [f"line {line}: aliases make the document too large. Write the values out"]
        lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            waiting += [(child, (*path, index)) for index, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            problems += _duplicates(node, path)
            for key, child in node.value:
                inner = (*path, str(key.value))
                lines.setdefault(inner, key.start_mark.line + 1)
                waiting.append((child, inner))
    return sorted(set(problems), key=lambda sentence: int(sentence.split()[1].rstrip(":")))


def _duplicates(node: yaml.MappingNode, path: Path) -> list[str]:
    """Give one sentence for each key that stands twice in a mapping."""
    seen: dict[str, int] = {}
    problems = []
    for key, _ in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in seen:
            dotted = ".".join(map(str, (*path, name)))
            problems.append(
                f"line {line}: {dotted} is already given on line {seen[name]}. Keep one of the two"
            )
        seen.setdefault(name, line)
    return problems


def write_yaml(value: Any) -> str:
    """Write plain values so that `read_yaml` gives them back, keys in the given order."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text
