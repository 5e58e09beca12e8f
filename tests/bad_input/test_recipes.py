"""Recipes that cannot be: each is refused with exit code 2, and nothing is left behind."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import RecipeError
from configs.load import recipe_from
from configs.schema import Recipe
from configs.yaml_text import YamlError, read_yaml, write_yaml
from launcher.cli import run
from tests.bad_input.recipe_cases import GOOD, RECIPES
from tests.bad_input.sentences import left_in, poor
from tests.launcher.fake_cluster import FakeCluster


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_the_good_recipe_is_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("\n".join(GOOD.values()))
    (tmp_path / "train.csv").write_text("text,label\none,a\n")
    assert run(["check", "recipe.yaml"], FakeCluster().client()) == 0


@pytest.mark.parametrize(("text", "words"), RECIPES)
def test_recipe_is_refused_in_sentences(
    text: str | bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = left_in(tmp_path)
    cluster = FakeCluster()
    assert run(["submit", "recipe.yaml"], cluster.client()) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and lines and all(line.startswith("error     ") for line in lines)
    assert words in err
    for line in lines:
        assert not poor(line.removeprefix("error     ")), line
    assert left_in(tmp_path) == before and cluster.submitted == []


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("10%")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
BASE = read_yaml("\n".join(GOOD.values()))[0]
WHOLE = Recipe.model_validate(BASE).model_dump(mode="json")


def paths_in(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    inner = [found for key, each in value.items() for found in paths_in(each, (*path, key))]
    return [path, *inner] if path else inner


PATHS = paths_in(WHOLE)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_mutated_recipe_loads_or_says_what_is_wrong(
    changes: list[tuple[tuple[str, ...], object]],
) -> None:
    value = read_yaml(write_yaml(WHOLE))[0]
    for path, new in changes:
        section = value
        for key in path[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[path[-1]] = new
    try:
        assert isinstance(recipe_from(value), Recipe)
    except RecipeError as error:
        for sentence in str(error).split("\n"):
            assert sentence.strip() and "Traceback" not in sentence
            assert not poor(sentence), sentence


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#,? \n\t0.~<="), max_size=60))
def test_any_text_is_yaml_or_says_where_it_is_not(text: str) -> None:
    try:
        read_yaml(text)
    except YamlError as error:
        assert all(problem and "\n" not in problem for problem in error.problems)
