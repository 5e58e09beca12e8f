"""Metrics of a classified split, exact at any number of ranks; when to evaluate is the loop's.

All of them come from two counts that ranks add up: the confusion matrix, and per class and
threshold who was right. Adding whole numbers has no order, so any division of the rows gives the
same bits.
"""

from typing import TYPE_CHECKING

import numpy as np

from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trainers.tasks.one_label import Answer

NUM_THRESHOLDS = 101
METRIC_NAMES = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
)


class ClassScores:
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

    def update(self, answer: "Answer", counted: "Tensor") -> None:
        """Count rows by their probabilities; rows that are not counted are left out."""
        labels = answer.labels[counted]
        # Probabilities, since torchmetrics would take a batch of logits within [0, 1] for such.
        probabilities = answer.probabilities[counted]
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
    return Scored(metrics, label_names, per_class, confusion, pr_counts)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    ratio = np.zeros(len(above))
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio
