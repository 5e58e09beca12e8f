"""Metrics of a classified split, exact at any number of ranks; when to evaluate is the loop's.

All of them come from two counts that ranks add up: the confusion matrix, and per class and
threshold who was right. Adding whole numbers has no order, so any division of the rows gives the
same bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IGNORED = -100
NUM_THRESHOLDS = 101
METRIC_NAMES = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
)


@dataclass(frozen=True)
class Sample:
    """What the model said about one row."""

    text: str
    label: str
    prediction: str
    probability: float
    """Probability of the prediction."""


@dataclass(frozen=True)
class Scored:
    """How well a split was classified."""

    label_names: tuple[str, ...]
    metrics: dict[str, float]
    """The metrics of METRIC_NAMES, each in [0, 1]."""
    per_class: dict[str, dict[str, float]]
    """Label name to precision, recall, f1 and support (rows with that label)."""
    confusion: np.ndarray
    """Rows by label and prediction: (classes, classes) int64."""
    pr_counts: np.ndarray
    """Rows by threshold, class, whether it is that class, whether its probability reaches the
    threshold: (thresholds, classes, 2, 2) int64; the thresholds divide [0, 1] evenly."""


class Scores:
    """Counts over the rows seen so far, on one rank."""

    def __init__(self, label_names: tuple[str, ...], device: "torch.device | str") -> None:
        # Imported at first use: torchmetrics takes a second that no training step has to wait for.
        from torchmetrics.classification import (
            MulticlassConfusionMatrix,
            MulticlassPrecisionRecallCurve,
        )

        classes = len(label_names)
        self._label_names = label_names
        self._confusion = MulticlassConfusionMatrix(classes, validate_args=False).to(device)
        self._curves = MulticlassPrecisionRecallCurve(
            classes, thresholds=NUM_THRESHOLDS, validate_args=False
        ).to(device)

    def update(self, outputs: Any, labels: "Tensor") -> None:
        """Count rows by their logits (rows, classes); rows whose label is -100 are left out."""
        counted = labels != IGNORED
        labels = labels[counted]
        # Probabilities, since torchmetrics would take a batch of logits within [0, 1] for such.
        probabilities = outputs.logits.detach()[counted].float().softmax(-1)
        self._confusion.update(probabilities.argmax(-1), labels)
        self._curves.update(probabilities, labels)

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""
        with self._confusion.sync_context(), self._curves.sync_context():
            confusion = self._confusion.confmat.cpu().numpy().copy()
            pr_counts = self._curves.confmat.cpu().numpy().copy()
        return score(self._label_names, confusion, pr_counts)


def score(label_names: tuple[str, ...], confusion: np.ndarray, pr_counts: np.ndarray) -> Scored:
    """Work out the metrics from a confusion matrix (classes, classes), labels by predictions.

    A ratio with nothing below the line is 0; averages are over all classes, also those without rows
    (scikit-learn: labels=range(classes), zero_division=0).
    """
    hits = confusion.diagonal()
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, predicted), _ratio(hits, support)
    f1 = _ratio(2 * hits, support + predicted)
    rows = max(1, int(support.sum()))
    accuracy = float(hits.sum() / rows)
    metrics = {
        "accuracy": accuracy,
        "macro_f1": float(f1.mean()),
        # Each row has one label and one prediction, so false positives are as many as negatives.
        "micro_f1": accuracy,
        "weighted_f1": float((f1 * support).sum() / rows),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
    }
    per_class = {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": float(support[i]),
        }
        for i, name in enumerate(label_names)
    }
    return Scored(label_names, metrics, per_class, confusion, pr_counts)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    ratio = np.zeros(len(above))
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio
