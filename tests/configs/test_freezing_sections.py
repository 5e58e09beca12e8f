"""What learns, phase by phase: short forms, presets, and what is refused without a model."""

import pytest
from pydantic import ValidationError

from configs.freezing_sections import Freezing, Learning
from configs.problems import describe_problems

GOOD = {
    "name": "small",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "a.csv"},
    "epochs": 4,
}
HEAD = {"learn": "head", "epochs": 1}


@pytest.mark.parametrize(
    ("short", "mode", "last", "train"),
    [
        ("head", "head", None, ()),
        ("full", "full", None, ()),
        ({"last": 2}, "partial", 2, ()),
        ({"train": ["^cls"]}, "partial", None, ("^cls",)),
        ({"mode": "partial", "embeddings": True}, "partial", None, ()),
    ],
)
def test_short_forms_of_freezing(short, mode, last, train):
    freezing = Freezing.model_validate(short)
    assert (freezing.mode, freezing.last, freezing.train) == (mode, last, train)
    assert (freezing.learning.mode, freezing.learning.last) == (mode, last)


def test_a_phase_names_what_learns_in_a_word_or_a_mapping():
    learns = [Learning.model_validate(each) for each in ("head", "all", {"last": 2})]
    assert [learn.mode for learn in learns] == ["head", "full", "partial"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"train": ["("]}, "is not a regular expression"),
        ({"mode": "full", "last": 2}, "need mode partial"),
        ({"mode": "head", "embeddings": True}, "trains only what is new"),
        ("partial", "names nothing that learns"),
        ({"schedule": [{"learn": "some"}]}, "found 'some', allowed is head, all"),
        ({"schedule": [{"learn": "head"}, {"learn": "all"}]}, "phase 1 of 2 has no length"),
        ({"schedule": [HEAD, {"learn": "head"}]}, "phase 2 unfreezes nothing that phase 1"),
        (
            {"schedule": [{"learn": {"last": 2}, "steps": 1}, {"learn": {"last": 1}}]},
            "phase 2 unfreezes nothing",
        ),
        ({"schedule": [{"learn": "all", "epochs": 1, "steps": 2}]}, "exclude each other"),
        ({"schedule": [{"learn": "all", "until_stall": {"max_epochs": 1}}]}, "early_stopping"),
        (
            {
                "schedule": [
                    {"learn": "head", "until_stall": {"max_epochs": 1}},
                    {"learn": "all", "epochs": 3},
                ]
            },
            "Leave the length of the last phase out",
        ),
        ({"gradual": True, "preset": "lp_ft"}, "gradual and preset both say what learns"),
        ({"gradual": True, "last": 2}, "gradual says what learns"),
        ({"preset": "ulmfit", "gradual": False}, "preset ulmfit is gradual"),
        ({"preset": "bitfit", "embeddings": True}, "Leave embeddings out"),
    ],
)
def test_freezing_that_makes_no_sense_is_refused(value, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Freezing.model_validate(value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"freezing": {"schedule": [{"learn": "head", "epochs": 4}, {"learn": "all"}]}},
            "the phases of freezing.schedule take 4 epochs and leave none to the last but epochs "
            "is 4. Use epochs 5 or shorter phases.",
        ),
        (
            {"freezing": {"schedule": [HEAD, {"learn": "all", "epochs": 1}]}},
            "the phases of freezing.schedule take 2 epochs but epochs is 4. Leave the length of "
            "the last phase out, so that it takes the rest.",
        ),
        (
            {"freezing": {"preset": "lp_ft"}, "epochs": 1},
            "freezing.preset lp_ft has two phases but epochs is 1. Use 2 or more.",
        ),
        (
            {
                "freezing": {
                    "schedule": [
                        {"learn": "head", "until_stall": {"max_epochs": 1}},
                        {"learn": "all"},
                    ]
                }
            },
            "freezing.schedule: until_stall needs data.validation. Give it, such as 10%.",
        ),
    ],
)
def test_phases_that_the_rest_of_the_recipe_does_not_allow_are_refused(changes, sentence):
    assert describe_problems({**GOOD, **changes}, {}) == [sentence]


def test_ulmfit_is_three_things_in_one_word_and_survives_being_written_out():
    from configs.schema import Recipe

    recipe = Recipe.model_validate({**GOOD, "freezing": {"preset": "ulmfit"}})
    assert (recipe.freezing.gradual, recipe.freezing.layer_decay) == (True, 2.6)
    assert (recipe.schedule.name, recipe.schedule.per) == ("slanted_triangular", "phase")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    own = {"freezing": {"preset": "ulmfit", "layer_decay": 1.5}, "schedule": {"name": "linear"}}
    recipe = Recipe.model_validate({**GOOD, **own})
    assert (recipe.freezing.layer_decay, recipe.schedule.name) == (1.5, "linear")
