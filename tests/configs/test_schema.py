"""The recipe as a whole: names, and sections that must agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from configs.schema import Recipe

GOOD = {
    "name": "x",
    "model": {"path": "base"},
    "task": {"kind": "text_classification"},
    "data": {"train": "a.csv"},
}


@pytest.mark.parametrize("name", ["a", "banking77", "a-b_c.d", "0", "a" * 63])
def test_names_that_are_folder_names(name):
    assert Recipe.model_validate({**GOOD, "name": name}).name == name


@pytest.mark.parametrize(
    "name", ["", "A", "../evil", "x/y", ".hidden", "-x", "x.", "a b", "a" * 64, "x\n", "\u00e9"]
)
def test_names_that_could_leave_their_folder_are_refused(name):
    with pytest.raises(ValidationError, match="is not a run name"):
        Recipe.model_validate({**GOOD, "name": name})


@given(lanes=st.integers(1, 64), workers=st.integers(1, 16))
def test_lanes_are_a_multiple_of_workers_or_the_sentence_names_lanes_that_are(lanes, workers):
    value = {**GOOD, "batch": {"lanes": lanes}, "cluster": {"num_workers": workers}}
    if lanes % workers == 0:
        assert Recipe.model_validate(value).batch.lanes == lanes
        return
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(value)
    said = str(caught.value).split("Use ")[1].split(" lanes")[0]
    offered = [int(word) for word in said.split(" or ")]
    assert all(number > 0 and number % workers == 0 for number in offered)
    assert min(abs(number - lanes) for number in offered) < workers


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"early_stopping": {}}, "early_stopping needs data.validation"),
        ({"evaluation": {"best_metric": "loss"}}, "evaluation.best_metric needs data.validation"),
        ({"precision": "fp16"}, "precision fp16 needs GPUs"),
        (
            {"model": {"path": "x", "attention": "flash_attention_2"}},
            "needs half precision, found fp32. Use precision bf16 or fp16",
        ),
    ],
)
def test_sections_that_disagree_are_refused(extra, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Recipe.model_validate({**GOOD, **extra})


def test_a_prefix_is_not_taken_out_where_evaluation_writes_text():
    task = {"kind": "sequence_to_sequence"}
    value = {**GOOD, "task": task, "freezing": {"prefix_cache": "on"}}
    with pytest.raises(ValidationError, match="writes text, which needs the whole model"):
        Recipe.model_validate(value)
    silent = {**task, "generation": {"evaluation_rows": 0}}
    assert Recipe.model_validate({**value, "task": silent}).freezing.prefix_cache == "on"


def test_targets_of_translations_may_be_smoothed():
    value = {**GOOD, "loss": {"label_smoothing": 0.1}}
    writes = {**value, "task": {"kind": "sequence_to_sequence"}}
    assert Recipe.model_validate(writes).loss.label_smoothing == 0.1
    with pytest.raises(ValidationError, match="label_smoothing is for tasks with one label"):
        Recipe.model_validate({**value, "task": {"kind": "text_regression"}})


def test_the_best_metric_is_evaluations_then_early_stoppings():
    data = {"train": "a.csv", "validation": "10%"}
    value = {**GOOD, "data": data, "early_stopping": {"metric": "macro_f1"}}
    assert Recipe.model_validate(value).best_metric == "macro_f1"
    value["evaluation"] = {"best_metric": "accuracy"}
    assert Recipe.model_validate(value).best_metric == "accuracy"
    assert Recipe.model_validate(GOOD).best_metric is None
    value["evaluation"] = {"best_metric": "last"}
    last = Recipe.model_validate(value)
    assert (last.best_metric, last.exports_last) == ("macro_f1", True)  # patience has its metric
    assert Recipe.model_validate({**GOOD, "evaluation": {"best_metric": "last"}}).exports_last


@pytest.mark.parametrize(
    ("task", "extra", "sentence"),
    [
        ({}, {"augmentation": {"delete": 0.1}}, "in ways that instruction_tuning cannot take"),
        (
            {},
            {"batch": {"packing": True}, "freezing": {"prefix_cache": "on"}},
            r"batch\.packing joins rows that are recorded",
        ),
        (
            {"loss_on": "all", "generation": {"evaluation_rows": 3}},
            {},
            "with loss_on all nothing says where",
        ),
    ],
)
def test_what_language_models_do_not_have_is_refused(task, extra, sentence):
    task = {"kind": "instruction_tuning", **task}
    with pytest.raises(ValidationError, match=sentence):
        Recipe.model_validate({**GOOD, "task": task, **extra})
