"""What is imported is declared, what is declared is pinned, and the recipes are shipped."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from configs.load import load_recipe
from tests.source_tree import ROOMS, ROOT, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMES_WITH = {"pydantic_core": "pydantic"}
"""Packages that another one's documentation tells to import."""
RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=]", line)[0].lower() for line in requirements}


def test_every_library_is_a_declared_dependency() -> None:
    declared = names(PROJECT["dependencies"] + EXTRAS["demo"] + EXTRAS["sql"])
    owners = packages_distributions()
    problems = []
    for source in sources(*ROOMS):
        for line, name in source.imports():
            top = name.split(".")[0]
            if top in ROOMS or top in sys.stdlib_module_names:
                continue
            found = [COMES_WITH[top]] if top in COMES_WITH else owners.get(top, [])
            if not declared & {owner.lower().replace("_", "-") for owner in found}:
                problems.append(f"{source.path}:{line} imports {name}")
    assert not problems, "\n".join(["", *problems])


def test_every_dependency_is_pinned_by_name_and_version_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert not [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
    asked = names(
        [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    )
    assert not asked - {line.split("==")[0] for line in pins}


def test_recipes_are_shipped() -> None:
    assert [path.name for path in RECIPES]
    assert "recipes/*.yaml" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_shipped_recipe_loads_and_begins_with_its_command(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert re.match(r"# thaw (submit|check) ", first)
    assert path.name in first
    assert load_recipe(path).name == path.stem
