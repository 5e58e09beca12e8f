"""Tasks that make no sense are refused, and what other tasks have is not asked of one."""

import pytest
from pydantic import TypeAdapter, ValidationError

from configs.schema import Recipe
from configs.task_sections import Task, asked_labels

TASKS = TypeAdapter(Task)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"kind": "text_classification", "text": "a", "label": "a"}, "must differ"),
        ({"kind": "text_classification", "text_b": "text"}, "must differ"),
        ({"kind": "text_classification", "labels": ["one"]}, "at least two names"),
        ({"kind": "image_classification", "labels": ["one", "one"]}, "at least two names"),
        ({"kind": "multi_label_classification", "label": "text"}, "must differ"),
        ({"kind": "text_regression", "value": "text"}, "must differ"),
        ({"kind": "token_classification", "tags": "tokens"}, "must differ"),
        ({"kind": "sequence_to_sequence", "target": "source"}, "must differ"),
        ({"kind": "instruction_tuning", "input": "prompt"}, "must differ"),
        ({"kind": "instruction_tuning", "messages": "m", "prompt": "p"}, "messages and prompt are"),
        ({"kind": "sentence_embedding", "negative": "n", "score": "s"}, "negative and score are"),
        ({"kind": "sentence_embedding", "positive": "anchor"}, "must differ"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(value: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TASKS.validate_python(value)


def test_tasks_without_labels_have_none_to_ask_for() -> None:
    assert asked_labels(TASKS.validate_python({"kind": "text_regression"})) is None
    labels = {"kind": "token_classification", "labels": ["O", "B-PER"]}
    assert asked_labels(TASKS.validate_python(labels)) == ("O", "B-PER")


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"balance": "focal"}, "balance is for tasks with one label a row"),
        ({"loss": {"label_smoothing": 0.1}}, "loss.label_smoothing is for tasks with one label"),
        ({"batch": {"packing": True}}, "batch.packing is for language models"),
    ],
)
def test_what_a_task_does_not_have_is_refused(sections: dict[str, object], sentence: str) -> None:
    values: dict[str, object] = {
        "name": "a",
        "model": {"path": "base"},
        "task": {"kind": "text_regression"},
        "data": {"train": "a.csv"},
    }
    values |= sections
    with pytest.raises(ValidationError, match=sentence):
        Recipe.model_validate(values)
