"""Every refusal in the code with its sentence, and which test reaches it.

`python -m pytest --reached TESTS` runs tests and writes down which refusals they reached, in
`refusals_reached.json`. `python -m tests.refusals` prints every sentence and how it is known to be
reached; `python -m tests.refusals --notes` prints all else that a person can read.
"""

import ast
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from configs.errors import THAW_ERRORS
from configs.yaml_text import YamlError
from tests.source_tree import ROOMS, ROOT, Source, sources
from trainers.tasks.refusals import RowError

REACHED = ROOT / "tests" / "refusals_reached.json"
TOLD_TO = "THAW_TEST_REFUSALS"
"""Variable with the file in which processes of tests say what was refused, where it is measured."""
ERRORS = (*THAW_ERRORS, RowError, YamlError, click.BadParameter, click.UsageError)
CLASSES = {one.__name__ for one in ERRORS}
SENTENCE = re.compile(
    r"[^.] ?\. ([A-Z][a-z]+|\{\}$)|[a-z)}]: [a-z]+ .*\b(one|both|it|them)\b$|: found \{\}, \w"
)
WORDS = re.compile(r"[A-Za-z]+,? [a-z]+,? (\{\}|[a-z]+)")
"""What tells a sentence from a name, a path or a pattern."""
FIELD = "{}"
FEWEST_LETTERS = 8
"""Letters of its own that a sentence needs to be told from others."""
FEWEST_EXPECTED = 14
"""Characters, two words at least, by which a test's expectation is known as one of a refusal."""


@dataclass(frozen=True)
class Refusal:
    """A sentence by which the code refuses something; `{}` stands for what it names."""

    path: str
    sentence: str

    @property
    def key(self) -> str:
        """Where it stands and what it says, without a line number."""
        return f"{self.path}: {self.sentence}"

    def is_in(self, text: str) -> bool:
        """Whether a text holds the sentence with everything filled in."""
        place = 0
        for part in self.sentence.rstrip(".").split(FIELD):
            place = text.find(part, place)
            if place < 0:
                return False
            place += len(part)
        return True


def template(node: ast.AST | None) -> str:
    """Return the text of a string with `{}` for what is filled in; empty for what is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(part) or FIELD for part in parts)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            sides = [template(left) or FIELD, template(right) or FIELD]
            return "".join(sides) if sides != [FIELD, FIELD] else ""
    return ""


def refusals() -> list[Refusal]:
    """Return every refusal of the four rooms, in the order of the files."""
    found = {one: None for source in sources(*ROOMS) for one in _of(source)}
    return list(found)


def _of(source: Source) -> Iterator[Refusal]:
    inside = {id(inner) for node in source.nodes for inner in _parts(node)}
    for node in source.nodes:
        text = template(node)
        if not text or id(node) in inside or _is_docstring(node, source):
            continue
        if len(re.sub(r"\W|\{\}", "", text)) < FEWEST_LETTERS:
            continue
        if id(node) in _given(source) or (source.room == "configs" and SENTENCE.search(text)):
            yield Refusal(source.path, " ".join(text.split()))


def notes(*rooms: str) -> list[Refusal]:
    """Return all else that reads like a sentence: notes, warnings, reasons, lines of a log."""
    refused = {one.key for one in refusals()}
    found: dict[Refusal, None] = {}
    for source in sources(*rooms):
        inside = {id(inner) for node in source.nodes for inner in _parts(node)}
        for node in source.nodes:
            if id(node) in inside or _is_docstring(node, source):
                continue
            one = Refusal(source.path, " ".join(template(node).split()))
            if WORDS.search(one.sentence) and one.key not in refused:
                found[one] = None
    return list(found)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the strings that are parts of a longer one."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.BinOp) and template(node)):
        yield from (inner for inner in ast.walk(node) if inner is not node)


@cache
def _docstrings(path: str) -> frozenset[int]:
    (source,) = (one for one in sources() if one.path == path)
    return frozenset(id(node.value) for node in source.nodes if isinstance(node, ast.Expr))


def _is_docstring(node: ast.AST, source: Source) -> bool:
    return id(node) in _docstrings(source.path)


@cache
def _given(source: Source) -> frozenset[int]:
    """Return the strings that are handed to one of our error classes, or raised by a validator."""
    classes = CLASSES | ({"ValueError"} if source.room == "configs" else set())
    calls = [
        node for node in source.nodes if isinstance(node, ast.Call) and _name(node.func) in classes
    ]
    return frozenset(id(inner) for call in calls for inner in ast.walk(call))


def _name(called: ast.expr) -> str:
    """Return the last name of what is called, such as BadParameter."""
    return str(getattr(called, "attr", getattr(called, "id", "")))


class Recorder:
    """What was said by each error that was made while a test ran, here or in its workers."""

    def __init__(self) -> None:
        """Let every error of ours tell what it says, also when it is unpickled, also on ranks."""
        self.folder = tempfile.TemporaryDirectory(prefix="thaw-refusals-")
        self.file = Path(self.folder.name, "said.jsonl")
        os.environ[TOLD_TO] = str(self.file)
        tell_errors(str(self.file))

    def pytest_sessionfinish(self) -> None:
        """Write down what was reached, beside what was measured before."""
        reached = load_reached()
        lines = self.file.read_text().split("\n") if self.file.exists() else []
        texts = dict(json.loads(line) for line in reversed(lines) if line)
        for one in refusals():
            tests = (test for text, test in texts.items() if one.is_in(text))
            if one.key not in reached and (test := next(tests, None)):
                reached[one.key] = test
        save_reached(reached)
        self.folder.cleanup()


def current_test() -> str:
    """Return the test that runs in this process; empty where none does."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").split(" (")[0].split("[")[0]


def tell_errors(file: str, test: str = "") -> None:
    """Let every error of ours that is made in this process write what it says into a file.

    `test` is the one that runs; else it is asked for each time.
    """
    said: set[str] = set()

    def telling(made: Callable[..., None]) -> Callable[..., None]:
        def told(error: Exception, *args: Any, **named: Any) -> None:
            text = " ".join("\n".join(map(str, _flat((*args, *named.values())))).split())
            running = test or current_test()
            if running and text not in said:
                said.add(text)
                with open(file, "a") as stream:
                    stream.write(json.dumps([text, running]) + "\n")
            made(error, *args, **named)

        return told

    for one in ERRORS:
        one.__init__ = telling(one.__init__)  # type: ignore[method-assign]


def _flat(args: tuple[Any, ...]) -> Iterator[Any]:
    for one in args:
        yield from one if isinstance(one, list) else [one]


@cache
def expectations() -> tuple[str, ...]:
    """Return what tests expect to be said: their strings, patterns read as the text they match."""
    texts = {
        " ".join(re.sub(r"\\(.)", r"\1", template(node)).split())
        for source in sources("tests")
        for node in source.nodes
    }
    return tuple(text for text in texts if len(text) >= FEWEST_EXPECTED and " " in text)


def is_expected(one: Refusal) -> bool:
    """Whether a test expects the words of a refusal, or a piece of them that is long enough."""
    parts = [part.strip(" .:") for part in one.sentence.split(FIELD)]
    own = [part for part in parts if len(part) >= FEWEST_EXPECTED and " " in part]
    return any(text in one.sentence or any(part in text for part in own) for text in expectations())


def load_reached() -> dict[str, str]:
    """Return the test that reaches each refusal, as it was measured."""
    return dict(json.loads(REACHED.read_text())) if REACHED.exists() else {}


def save_reached(reached: Mapping[str, str]) -> None:
    """Write down which test reaches which refusal; those that are no more are left out."""
    known = {one.key for one in refusals()}
    kept = {key: test for key, test in sorted(reached.items()) if key in known}
    REACHED.write_text(json.dumps(kept, indent=0, ensure_ascii=True) + "\n")


if __name__ == "__main__" and "--notes" in sys.argv:
    for one in notes(*ROOMS):
        print(one.key)
elif __name__ == "__main__":
    measured = load_reached()
    for one in refusals():
        how = "measured" if one.key in measured else "expected" if is_expected(one) else "-"
        print(f"{how:9} {one.key}")
