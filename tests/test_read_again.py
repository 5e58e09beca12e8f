"""A recipe is what it says when it is read again: in full, as YAML, in the order of a job."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.driver import JOB_VARIABLE, read_order
from configs.load import recipe_to_yaml
from configs.schema import Recipe
from configs.yaml_text import read_yaml
from tests.recipe_draws import all_paths, draw_recipes, paths
from trainers.data.plan import recipe_for

SHIPPED = sorted((Path(__file__).parents[1] / "configs" / "recipes").glob("*.yaml"))
TRIES = 10_000
SOME = 300
"""Of the recipes that were drawn, those that go the longer ways."""


@pytest.fixture(scope="module")
def drawn() -> list[tuple[dict[str, Any], Recipe]]:
    return list(draw_recipes(0, TRIES))


def test_every_key_is_drawn(drawn: list[tuple[dict[str, Any], Recipe]]) -> None:
    said = {path for value, _ in drawn for path in paths(value)}
    said |= {path.rpartition(".")[0] for path in said}  # of a mapping such as cluster.env
    unsaid = {*all_paths()} - said
    assert unsaid == set() and len(drawn) > TRIES / 3


@pytest.mark.parametrize("way", [{}, {"exclude_defaults": True}, {"exclude_unset": True}])
def test_plain_values_are_read_as_they_were(
    way: dict[str, bool], drawn: list[tuple[dict[str, Any], Recipe]]
) -> None:
    for value, recipe in drawn:
        told = json.loads(json.dumps(recipe.model_dump(mode="json", **way)))
        assert Recipe.model_validate(told) == recipe, value


def test_yaml_is_read_as_it_was(drawn: list[tuple[dict[str, Any], Recipe]]) -> None:
    for value, recipe in drawn[:: len(drawn) // SOME]:
        assert Recipe.model_validate(read_yaml(recipe_to_yaml(recipe))[0]) == recipe, value


def test_the_driver_reads_what_the_client_wrote(
    drawn: list[tuple[dict[str, Any], Recipe]],
) -> None:
    for value, recipe in drawn[:: len(drawn) // SOME]:
        spec = {"verb": "finetune", "recipe": recipe.model_dump(mode="json"), "arguments": {}}
        assert read_order({JOB_VARIABLE: json.dumps(spec)}).recipe == recipe, value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_read_as_they_were(path: Path) -> None:
    recipe = Recipe.model_validate(read_yaml(path.read_text())[0])
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_the_recipe_of_an_evaluation_is_one_whatever_the_run_went_by(
    drawn: list[tuple[dict[str, Any], Recipe]],
) -> None:
    """Of a run with early stopping or phases until a stall the validation split is missing."""
    for value, recipe in drawn:
        told = recipe_for(recipe, "rows.csv")
        assert Recipe.model_validate(told.model_dump(mode="json")) == told, value
