"""New values are worked out from those that a recipe has."""

import pytest

from cluster.remedies import Remedy, Setting, Value, work_out
from configs.load import recipe_from
from configs.schema import Recipe


@pytest.fixture
def recipe() -> Recipe:
    return recipe_from(
        {
            "name": "a",
            "model": {"path": "org/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "a.csv"},
            "optimizer": {"learning_rate": 3e-5},
        }
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (Setting("cluster.max_failures", times=2, plus=1), 7),
        (Setting("optimizer.learning_rate", times=0.1), 3e-6),
        (Setting("zero.stage", to=3), 3),
        (Setting("zero.stage", to=0), None),
        (Setting("cluster.num_workers", times=0.5), None),
        (Setting("activation_checkpointing", to=True), True),
        (Setting("model.path", times=2), None),
        (Setting("absent.key", times=2), None),
    ],
)
def test_value_follows_from_the_one_that_is_held(
    recipe: Recipe, setting: Setting, value: Value | None
) -> None:
    assert setting.value(recipe) == value


def test_settings_are_written_for_the_command_line(recipe: Recipe) -> None:
    settings = (
        Setting("optimizer.learning_rate", times=0.1),
        Setting("activation_checkpointing", True),
    )
    (change,) = work_out([Remedy("slower", settings)], recipe)
    assert change.settings == ("optimizer.learning_rate=3e-06", "activation_checkpointing=true")


def test_what_a_recipe_cannot_take_is_left_out(recipe: Recipe) -> None:
    remedies = [
        Remedy("unknown", (Setting("no.such.key", to=1),)),
        Remedy("out of bounds", (Setting("zero.stage", to=9),)),
        Remedy("of another task", (Setting("epochs", to=1),), task="language_modeling"),
        Remedy("no change", (Setting("zero.stage", to=0),)),
    ]
    assert work_out(remedies, recipe) == ()
