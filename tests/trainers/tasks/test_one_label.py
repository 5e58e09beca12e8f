"""Loss, answers, metrics and predictions of one label a row."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from configs.task_sections import TextClassification
from tests.origin import NAMES
from tests.tiny import make_tokenizer
from trainers.tasks import one_label
from trainers.tasks.judging import Batching, Fed, Setting

TASK = TextClassification(kind="text_classification")
BATCHING = Batching(0, 64, 1, len(NAMES))
SETTING = Setting(TASK, NAMES, "cpu", make_tokenizer)


def answered(logits: torch.Tensor, labels: list[int]) -> Any:
    fed = Fed({}, torch.tensor(labels), SimpleNamespace(logits=logits))
    return one_label.answer(SETTING, fed)


def test_the_loss_is_summed_in_fp32_without_ignored_rows() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, -100, 2, 1])
    chosen = labels != -100
    expected = functional.cross_entropy(logits[chosen], labels[chosen]) * 3
    found = one_label.summed_loss(SimpleNamespace(logits=logits), labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    half = one_label.summed_loss(SimpleNamespace(logits=logits.bfloat16()), labels)
    assert half.dtype == torch.float32
    empty = one_label.summed_loss(SimpleNamespace(logits=logits), torch.full((4,), -100))
    assert empty.item() == 0.0


def test_an_ignored_row_has_no_gradient() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    loss = one_label.summed_loss(SimpleNamespace(logits=logits), torch.tensor([-100, -100]))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0.0


def test_scores_count_labels() -> None:
    scores = one_label.build_scores(SETTING)
    scores.update(answered(torch.eye(3), [0, 1, 1]), torch.tensor([True, True, True]))
    assert scores.compute().metrics["accuracy"] == pytest.approx(2 / 3)


def test_rows_without_label_are_fed_as_ignored() -> None:
    assert one_label.labels_of(pa.table({"label": [2, 0]}), BATCHING).tolist() == [2, 0]
    assert one_label.labels_of(pa.table({"length": [2, 0]}), BATCHING).tolist() == [-100, -100]


def test_predictions_name_the_likeliest_label() -> None:
    logits = torch.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0]])
    found = one_label.predictions(SETTING, answered(logits, [-100, -100]))
    assert tuple(found) == one_label.PREDICTED
    assert found["predicted_label"] == ["label-1", "label-0"]
    # softmax of (0, 3, 0): e^3 / (e^3 + 2).
    assert found["probability"][0] == pytest.approx(20.0855 / 22.0855, rel=1e-4)
    assert found["probabilities"][1] == pytest.approx(logits[1].softmax(-1).tolist())
