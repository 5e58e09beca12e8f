"""Columns to tokens, tokens to tensors, loss and samples of text classification."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from configs.errors import DataError
from configs.task_columns import Column, Columns
from configs.task_sections import TextClassification
from tests.origin import NAMES
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder, make_tokenizer
from tests.trainers.task_runs import prove_task
from trainers.tasks import functions_of
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.text_classification import TEXT_CLASSIFICATION

TASK = TextClassification(kind="text_classification")
PAIRS = TextClassification(kind="text_classification", text="first", text_b="second")
# The vocabulary of tests.tiny: [PAD] [UNK] [CLS] [SEP], then "a", "an", "and", "are", ...
PAD, CLS, SEP, A, AN, AND = 0, 2, 3, 4, 5, 6


def encoded(texts: list[str], labels: list[Any], max_length: int = 64, kind: str = "bert") -> Any:
    table = pa.table({"text": texts, "label": labels})
    tokenizer = make_tokenizer(kind)
    if kind == "gpt2":
        tokenizer.pad_token = tokenizer.eos_token
    return TEXT_CLASSIFICATION.encode(TASK, tokenizer, max_length, NAMES, table)


def test_the_recipe_s_task_gives_its_functions() -> None:
    assert functions_of(TASK) is TEXT_CLASSIFICATION


def test_columns_are_those_of_the_recipe() -> None:
    label = Column("label", "label")
    assert TEXT_CLASSIFICATION.columns(TASK) == Columns((Column("text", "text"),), label)
    first, second = Column("first", "text"), Column("second", "text")
    assert TEXT_CLASSIFICATION.columns(PAIRS) == Columns((first, second), label)


def test_encode_gives_tokens_label_and_length() -> None:
    table = encoded(["a an", "And"], ["label-2", "label-0"])
    assert table.schema == pa.schema(
        {
            "input_ids": pa.list_(pa.int32()),
            "label": pa.int32(),
            "length": pa.int32(),
        }
    )
    assert table["input_ids"].to_pylist() == [[CLS, A, AN, SEP], [CLS, AND, SEP]]
    assert table["label"].to_pylist() == [2, 0]
    assert table["length"].to_pylist() == [4, 3]


def test_long_rows_are_cut_at_what_recipe_and_model_take() -> None:
    assert encoded(["a " * 100], ["label-0"], max_length=5)["length"].to_pylist() == [5]
    assert encoded(["a " * 100], ["label-0"], max_length=512)["length"].to_pylist() == [64]


def test_an_empty_text_is_still_a_row() -> None:
    assert encoded([""], ["label-0"])["input_ids"].to_pylist() == [[CLS, SEP]]
    # This tokenizer adds nothing of its own: the row would have no token at all.
    assert encoded([""], ["label-0"], kind="gpt2")["input_ids"].to_pylist() == [[0]]
    assert encoded([], [])["input_ids"].to_pylist() == []


def test_pairs_say_which_text_a_token_is_of() -> None:
    table = pa.table({"first": ["a"], "second": ["an and"], "label": ["label-1"]})
    found = TEXT_CLASSIFICATION.encode(PAIRS, make_tokenizer(), 64, NAMES, table)
    assert found["input_ids"].to_pylist() == [[CLS, A, SEP, AN, AND, SEP]]
    assert found["token_type_ids"].to_pylist() == [[0, 0, 0, 1, 1, 1]]
    assert found.schema.field("token_type_ids").type == pa.list_(pa.int8())
    without = TEXT_CLASSIFICATION.encode(PAIRS, make_tokenizer("roberta"), 64, NAMES, table)
    assert "token_type_ids" not in without.column_names


def test_integer_labels_go_by_their_digits() -> None:
    table = pa.table({"text": ["a", "a"], "label": [10, 9]})
    found = TEXT_CLASSIFICATION.encode(TASK, make_tokenizer(), 64, ("9", "10"), table)
    assert found["label"].to_pylist() == [1, 0]


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(DataError, match="label 'other' in column label is none of 3 labels"):
        encoded(["a", "a"], ["label-0", "other"])


def test_collate_pads_to_a_multiple_but_not_past_the_model() -> None:
    collate = TEXT_CLASSIFICATION.collate(TASK, Batching(PAD, 6, 4, len(NAMES)))
    inputs, labels = collate(encoded(["a", "an and"], ["label-1", "label-0"]))
    assert set(inputs) == {"input_ids", "attention_mask"}
    assert inputs["input_ids"].tolist() == [[CLS, A, SEP, PAD], [CLS, AN, AND, SEP]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert labels.tolist() == [1, 0]
    assert {t.dtype for t in (*inputs.values(), labels)} == {torch.int64}
    wide, _ = collate(encoded(["a an and"], ["label-0"]))
    assert wide["input_ids"].shape == (1, 6)  # five tokens; a multiple of 4 would be eight


def test_collate_reads_slices_of_shards() -> None:
    """A slice of a list column has an offset into its values."""
    table = encoded(["a", "an and", "and"], ["label-0", "label-1", "label-2"])
    collate = TEXT_CLASSIFICATION.collate(TASK, Batching(PAD, 64, 1, len(NAMES)))
    inputs, labels = collate(table.slice(1, 2))
    assert inputs["input_ids"].tolist() == [[CLS, AN, AND, SEP], [CLS, AND, SEP, PAD]]
    assert labels.tolist() == [1, 2]
    taken, _ = collate(table.take(np.array([2, 0])))
    assert taken["input_ids"].tolist() == [[CLS, AND, SEP], [CLS, A, SEP]]


def test_collate_pads_token_types_with_0() -> None:
    table = pa.table({"first": ["a", "a"], "second": ["an and", "an"], "label": ["label-1"] * 2})
    rows = TEXT_CLASSIFICATION.encode(PAIRS, make_tokenizer(), 64, NAMES, table)
    inputs, _ = TEXT_CLASSIFICATION.collate(TASK, Batching(PAD, 64, 1, len(NAMES)))(rows)
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]


def test_samples_show_text_label_and_prediction() -> None:
    inputs, labels = TEXT_CLASSIFICATION.collate(TASK, Batching(PAD, 64, 8, len(NAMES)))(
        encoded(["a an", "and"], ["label-2", "label-0"])
    )
    labels[1] = -100
    outputs = SimpleNamespace(logits=torch.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0]]))
    setting = Setting(TASK, NAMES, "cpu", make_tokenizer)
    fed = Fed(inputs, labels, outputs)
    found = TEXT_CLASSIFICATION.samples(setting, fed, TEXT_CLASSIFICATION.answer(setting, fed))
    # softmax of (0, 3, 0): e^3 / (e^3 + 2).
    probability = pytest.approx(20.0855 / 22.0855, rel=1e-4)
    assert found == [Sample("a an", "label-2", "label-1", found[0].probability)]
    assert found[0].probability == probability


@pytest.mark.parametrize("kind", with_proofs("distilbert", "bert", "roberta", "modernbert", "gpt2"))
def test_runs_agree_however_they_are_divided(tmp_path: Path, kind: str) -> None:
    # Of weights as small as usual all rows look alike, and rounding decides how they are ranked.
    make_model_folder(tmp_path / "model", kind, spread=0.3)
    recipe = tiny_recipe(tmp_path, epochs=1)
    proved = prove_task(
        recipe, pa.table({"text": ["the topic1a of", "", "to"]}), brief=kind != "bert"
    )
    assert tuple(proved.predictions) == TEXT_CLASSIFICATION.predicted
