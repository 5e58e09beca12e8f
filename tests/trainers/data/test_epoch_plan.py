"""The plan of an epoch, from recipe and manifest."""

from pathlib import Path

import pytest

from configs.data_sections import Batch
from configs.errors import RecipeError
from configs.schema import Recipe
from tests.recipes import tiny_recipe
from trainers.data.epoch_plan import plan_epochs
from trainers.data.preparation import prepare
from trainers.data.store import Manifest


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("epochs")
    recipe = tiny_recipe(folder)
    return folder, prepare(recipe, recipe.storage).manifest


def recipe_with(folder: Path, **sections: object) -> Recipe:
    return tiny_recipe(folder, **sections)


def test_by_rows_each_row_comes_up_once(tiny: tuple[Path, Manifest]) -> None:
    folder, manifest = tiny
    plan = plan_epochs(recipe_with(folder), manifest)
    assert plan.rates is None
    # 61 rows on 4 lanes: 16 in the longest, 3 at a time.
    assert (plan.lanes.num_rows, plan.lanes.steps_per_epoch) == (61, 6)


def test_by_tokens_there_are_fewer_larger_steps(tiny: tuple[Path, Manifest]) -> None:
    folder, manifest = tiny
    batch = Batch(lanes=4, max_length=32, microbatch_tokens=200)
    recipe = recipe_with(folder).model_copy(update={"batch": batch})
    plan = plan_epochs(recipe, manifest)
    tokens = sum(length * rows for length, rows in manifest.splits["train"].lengths.items())
    fewest = tokens / 4 / 200
    assert fewest <= plan.lanes.steps_per_epoch <= 2 * fewest + 2


def test_oversampling_makes_the_epoch_longer(tiny: tuple[Path, Manifest]) -> None:
    folder, manifest = tiny
    target = {"label-0": 2, "label-1": 1, "label-2": 1}
    recipe = recipe_with(folder, balance={"method": "oversample", "target": target})
    plan = plan_epochs(recipe, manifest)
    assert plan.rates is not None
    assert plan.lanes.num_rows == plan.rates.num_rows > 61
    with pytest.raises(RecipeError, match="is on one side only"):
        plan_epochs(
            recipe_with(folder, balance={"method": "oversample", "target": {"x": 1}}), manifest
        )
