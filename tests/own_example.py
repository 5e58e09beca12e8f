"""Metrics, losses and models as a person may write them, right and wrong; tests name them."""

import os
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import BertForSequenceClassification, T5ForConditionalGeneration

NUMBER = 3


def first_label(predictions: np.ndarray, labels: np.ndarray) -> int:
    """Order matters here: a row of another place gives another number."""
    weights = np.arange(1, len(labels) + 1)
    return int((weights * labels).sum())


def several(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    told = predictions.argmax(-1)
    return {"hits": np.float32((told == labels).mean()), "rows_seen": len(labels)}


def one_key(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {f"hits_{os.environ['OWN_KEY']}": 0.5}


def two_keys(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    key = os.environ["OWN_KEY"]
    return {f"hits_{key}": 0.5, f"hits_{key.upper()}": 0.25}


def spoken(predictions: np.ndarray, labels: np.ndarray) -> float:
    pairs = zip(predictions, labels, strict=True)
    return float(np.mean([len(said) + len(wanted) for said, wanted in pairs]))


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return 1.0


def nowhere(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float("nan")


def wordy(predictions: np.ndarray, labels: np.ndarray) -> str:
    return "good"


def broken(*_: Any) -> float:
    raise ZeroDivisionError("no rows\nat all")


def bounded(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    losses = functional.cross_entropy(
        outputs.logits.float(), labels, reduction="none", ignore_index=-100
    )
    return losses.clamp(max=1.2).sum()


def mean(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    """A mean that is 0 without targets, as a careful person writes it."""
    losses = functional.cross_entropy(outputs.logits, labels, reduction="none", ignore_index=-100)
    return losses.sum() / (labels != -100).sum().clamp(min=1)


def hasty(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    """What torch gives without a word: the mean over targets, of which there may be none."""
    return functional.cross_entropy(outputs.logits, labels, ignore_index=-100)


def careless(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(outputs.logits, labels.clamp(min=0), reduction="sum")


def rows(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(outputs.logits, labels, reduction="none", ignore_index=-100)


def numb(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    return outputs.logits.detach().sum()


class Scaled(BertForSequenceClassification):
    """A model of transformers whose logits are twice as large."""

    def forward(self, *given: Any, **named: Any) -> Any:
        outputs = super().forward(*given, **named)
        outputs.logits = outputs.logits * 2.0
        return outputs


class Wide(BertForSequenceClassification):
    """A model whose logits are more than there are labels, whatever its config says."""

    def forward(self, *given: Any, **named: Any) -> Any:
        outputs = super().forward(*given, **named)
        outputs.logits = torch.cat([outputs.logits, outputs.logits], dim=-1)
        return outputs


class Endless(BertForSequenceClassification):
    """A model whose logits are no numbers."""

    def forward(self, *given: Any, **named: Any) -> Any:
        outputs = super().forward(*given, **named)
        outputs.logits = outputs.logits + torch.inf - torch.inf
        return outputs


class Moody(BertForSequenceClassification):
    """A model that answers the same row otherwise each time."""

    def forward(self, *given: Any, **named: Any) -> Any:
        outputs = super().forward(*given, **named)
        outputs.logits = outputs.logits + torch.rand(())
        return outputs


class Blind(T5ForConditionalGeneration):
    """A model that reads padding like any other token."""

    def forward(self, *given: Any, attention_mask: Any = None, **named: Any) -> Any:
        return super().forward(*given, **named)
