"""The table of bad input is long, and what tests were measured to reach is still there."""

import ast
from pathlib import Path

import pytest

from tests.bad_input.data_cases import DATA
from tests.bad_input.line_cases import LINES
from tests.bad_input.recipe_cases import RECIPES
from tests.refusals import Refusal, load_reached, refusals
from tests.source_tree import ROOT


def test_the_table_is_long_and_not_the_same_row_again() -> None:
    rows = [
        *((text, said) for text, said in RECIPES),
        *(("\0".join(words), said) for words, _, said in LINES),
        *((repr(case), case.words) for case in DATA),
    ]
    assert len(rows) >= 300 and len({given for given, _ in rows}) >= len(rows) - 5
    assert len({said for _, said in rows}) >= 100


def test_the_tests_that_reach_refusals_exist() -> None:
    gone = []
    for test in set(load_reached().values()):
        file, _, name = test.partition("::")
        path: Path = ROOT / file
        names = (
            {
                n.name
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.FunctionDef)
            }
            if path.exists()
            else set()
        )
        if name not in names:
            gone.append(test)
    assert not gone


@pytest.mark.parametrize("room", ["configs", "launcher", "cluster", "trainers"])
def test_every_refusal_is_reached_by_a_test(room: str) -> None:
    # Measured by `python -m pytest --reached TESTS`, with the tests that a change came with.
    reached = load_reached()
    known = [one.key for one in refusals() if one.path.startswith(f"{room}/")]
    assert [key for key in known if key not in reached] == []


def test_a_sentence_is_told_from_another() -> None:
    one = Refusal("configs/x.py", "{} is {}. Leave it out.")
    assert one.is_in("recipe.yaml: a is b. Leave it out") and not one.is_in("a is b. Keep it")
