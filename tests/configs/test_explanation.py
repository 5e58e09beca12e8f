"""What `thaw schema KEY` says."""

import pytest

from configs.errors import RecipeError
from configs.explanation import _every_key, explain
from configs.load import recipe_schema
from configs.schema import Recipe


def test_a_key_has_its_sentence_type_default_and_bounds() -> None:
    (found,) = explain("batch.lanes")
    field = Recipe.model_fields["batch"].annotation.model_fields["lanes"]
    assert found.sentence == field.description
    assert (found.type, found.default, found.bounds) == ("whole number", "8", ("at least 1",))
    assert found.keys == ()


def test_a_key_that_must_be_given_has_no_default() -> None:
    (found,) = explain("model.path")
    assert (found.type, found.default) == ("text", None)


def test_a_key_that_may_be_left_out_says_null() -> None:
    (found,) = explain("batch.microbatch_tokens")
    assert (found.type, found.default) == ("whole number or null", "null")


def test_a_section_has_its_keys() -> None:
    (found,) = explain("zero")
    assert [key for key, _ in found.keys] == list(
        Recipe.model_fields["zero"].annotation.model_fields
    )
    assert all(sentence for _, sentence in found.keys)
    assert dict(found.keys)["stage"].endswith("Default 0.")


def test_a_list_of_sections_has_the_keys_of_its_entries() -> None:
    (found,) = explain("freezing.schedule")
    assert "epochs" in dict(found.keys)
    (length,) = explain("freezing.schedule.epochs")
    assert length.sentence


def test_a_key_of_several_tasks_is_explained_for_each_that_differs() -> None:
    sentences = [found.sentence for found in explain("task.label")]
    assert len(sentences) == len(set(sentences)) > 1


def test_every_key_of_a_recipe_can_be_explained() -> None:
    schema = recipe_schema()
    keys = sorted(set(_every_key(schema, schema, "")))
    assert len(keys) > 150
    for key in keys:
        assert all(found.sentence for found in explain(key)), key


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("batch.lane", "Did you mean batch.lanes?"),
        ("modle", "Did you mean model?"),
        ("lanes", "Did you mean batch.lanes?"),
        ("rank", "Did you mean freezing.lora.rank?"),
        ("xyzzy", "See all of them: thaw schema"),
        ("batch.lanes.x", "Did you mean batch.lanes?"),
        ("", "See all of them: thaw schema"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, hint: str) -> None:
    with pytest.raises(RecipeError) as raised:
        explain(key)
    assert str(raised.value).endswith(hint)
