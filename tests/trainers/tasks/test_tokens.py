"""Texts as tokens, tokens as tensors, tensors as texts again."""

import numpy as np
import pyarrow as pa
import torch

from configs.task_sections import TextClassification
from tests.tiny import make_tokenizer
from trainers.tasks import tokens
from trainers.tasks.judging import Batching, Fed, Setting

PAD, CLS, SEP, A, AN = 0, 2, 3, 4, 5


def rows_of(*texts: str) -> pa.Table:
    return tokens.tokenised(make_tokenizer(), 64, [pa.chunked_array([list(texts)])])


def test_numbers_are_read_as_text() -> None:
    assert tokens.strings(pa.chunked_array([[1, 2]])).to_pylist() == ["1", "2"]


def test_a_mask_is_as_wide_as_a_multiple_but_no_wider_than_the_model() -> None:
    lengths = np.array([2, 3], np.int32)
    assert tokens.token_mask(lengths, Batching(PAD, 64, 8, 3)).shape == (2, 8)
    assert tokens.token_mask(lengths, Batching(PAD, 4, 8, 3)).shape == (2, 4)


def test_values_are_laid_under_the_mask() -> None:
    column = pa.chunked_array([[[1], [2, 3]], [[4, 5, 6]]], pa.list_(pa.int32())).slice(1)
    laid = tokens.laid_out(column, np.arange(3) < np.array([[2], [3]]), -1)
    assert laid.tolist() == [[2, 3, -1], [4, 5, 6]]


def test_padded_rows_go_with_their_labels() -> None:
    def labels_of(rows: pa.Table, batching: Batching) -> torch.Tensor:
        return torch.full((len(rows),), batching.num_labels)

    inputs, labels = tokens.collate_padded(labels_of)(None, Batching(PAD, 64, 1, 3))(rows_of("a"))
    assert inputs["input_ids"].tolist() == [[CLS, A, SEP]]
    assert labels.tolist() == [3]


def test_what_the_model_read_is_shown() -> None:
    inputs = tokens.pad_tokens(rows_of("a", "a an"), Batching(PAD, 64, 1, 3))
    assert inputs["input_ids"].tolist() == [[CLS, A, SEP, PAD], [CLS, A, AN, SEP]]
    task = TextClassification(kind="text_classification")
    setting = Setting(task, (), "cpu", make_tokenizer)
    fed = Fed(inputs, inputs["input_ids"][:, 0], None)
    assert tokens.shown_texts(setting, fed) == ["a", "a an"]
