"""Metrics of a classified split, exact at any number of ranks; when to evaluate is the loop's.

They come from counts that ranks add up: the confusion matrix, per class and threshold who was
right, and how sure the model was. Adding whole numbers has no order, so any division of the rows
gives the same bits. Areas under curves stand in curve_areas.py.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trainers.tasks.one_label import Answer

NUM_THRESHOLDS = 101
CALIBRATION_BINS = 15
UNITS = 2.0**36
"""A probability is added up as so many parts of 1: exactly, where it is above 2^-13."""


class ClassScores:
    """Counts over the rows seen so far, on one rank."""

    def __init__(self, label_names: tuple[str, ...], device: "torch.device | str") -> None:
        # Imported at first use: torchmetrics takes a second that no training step has to wait for.
        from torchmetrics.classification import (
            MulticlassConfusionMatrix,
            MulticlassPrecisionRecallCurve,
        )

        from trainers.curve_areas import CurveAreas

        classes = len(label_names)
        self._label_names = label_names
        self._areas = CurveAreas(classes, device)
        self._calibration = Calibration(device)
        self._confusion = MulticlassConfusionMatrix(classes, validate_args=False).to(device)
        self._curves = MulticlassPrecisionRecallCurve(
            classes, thresholds=NUM_THRESHOLDS, validate_args=False
        ).to(device)

    def update(self, answer: "Answer", counted: "Tensor") -> None:
        """Count rows by their probabilities; rows that are not counted are left out."""
        from torch.nn.functional import one_hot

        labels = answer.labels[counted]
        # Probabilities, since torchmetrics would take a batch of logits within [0, 1] for such.
        probabilities = answer.probabilities[counted]
        self._confusion.update(probabilities.argmax(-1), labels)
        self._curves.update(probabilities, labels)
        self._areas.update(probabilities, one_hot(labels, len(self._label_names)).bool())
        best, predicted = probabilities.max(-1)
        self._calibration.update(best, predicted == labels)

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""
        with self._confusion.sync_context(), self._curves.sync_context():
            confusion = self._confusion.confmat.cpu().numpy().copy()
            pr_counts = self._curves.confmat.cpu().numpy().copy()
        scored = score(self._label_names, confusion, pr_counts)
        metrics = {**scored.metrics, "ece": self._calibration.compute(), **self._areas.compute()}
        return replace(scored, metrics=metrics, remarks=self._areas.remarks(self._label_names))


class Calibration:
    """How often the model was right, by how sure it was of what it said, on one rank."""

    def __init__(self, device: "torch.device | str") -> None:
        import torch

        self._counts = torch.zeros(3, CALIBRATION_BINS, dtype=torch.int64, device=device)
        self._bounds = torch.linspace(0, 1, CALIBRATION_BINS + 1, device=device)[1:-1]

    def update(self, probabilities: "Tensor", hits: "Tensor") -> None:
        """Take in the probability of what was said, and whether it was right, each (rows,)."""
        import torch

        # The upper bound of a bin belongs to it.
        bins = torch.bucketize(probabilities, self._bounds)
        units = (probabilities.double() * UNITS).round().long()
        for counts, values in zip(
            self._counts, (torch.ones_like(units), hits.long(), units), strict=True
        ):
            counts.index_add_(0, bins, values)

    def compute(self) -> float:
        """Give the expected calibration error: how far off probabilities are in a bin, by rows.

        Guo et al. 2017 (https://arxiv.org/abs/1706.04599). Collective: every rank calls this.
        """
        from trainers.agreement import joined

        rows, hits, units = joined(self._counts.clone()).cpu().numpy()
        off = np.abs(hits - units / UNITS)
        return share(off.sum(), rows.sum())


def score(
    label_names: tuple[str, ...], confusion: np.ndarray, pr_counts: np.ndarray | None
) -> Scored:
    """Work out the metrics from a confusion matrix (classes, classes), labels by predictions.

    A class's ratio with nothing below the line is 0; averages are over all classes, also those
    without rows (scikit-learn: labels=range(classes), zero_division=0). NaN where there are no
    rows, and for Matthews' correlation where all rows have one label.
    """
    hits = confusion.diagonal()
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = ratio(hits, predicted), ratio(hits, support)
    f1 = ratio(2 * hits, support + predicted)
    rows = int(support.sum())
    accuracy = share(hits.sum(), rows)
    metrics = {
        "accuracy": accuracy,
        "macro_f1": float(f1.mean()),
        # Each row has one label and one prediction, so false positives are as many as negatives.
        "micro_f1": accuracy,
        "weighted_f1": share((f1 * support).sum(), rows),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "mcc": _matthews(support, predicted, int(hits.sum())),
    }
    if not rows:
        metrics = dict.fromkeys(metrics, float("nan"))
    per_class = per_class_scores(label_names, hits, predicted, support)
    return Scored(metrics, label_names, per_class, confusion, pr_counts)


def per_class_scores(
    names: tuple[str, ...], hits: np.ndarray, told: np.ndarray, support: np.ndarray
) -> dict[str, dict[str, float]]:
    """Give precision, recall, F1 and support by name, from counts (classes,) of int64."""
    columns = (ratio(hits, told), ratio(hits, support), ratio(2 * hits, told + support), support)
    keys = ("precision", "recall", "f1", "support")
    return {
        name: {key: float(column[place]) for key, column in zip(keys, columns, strict=True)}
        for place, name in enumerate(names)
    }


def _matthews(support: np.ndarray, predicted: np.ndarray, hits: int) -> float:
    """Give Matthews' correlation; NaN where labels do not vary, 0 where predictions do not."""
    rows = int(support.sum())
    if np.count_nonzero(support) < 2:
        return float("nan")
    # Python's integers: these products may be larger than 2^63.
    told, said = ([int(n) for n in counts] for counts in (support, predicted))
    above = hits * rows - sum(t * s for t, s in zip(told, said, strict=True))
    below = (rows**2 - sum(s * s for s in said)) * (rows**2 - sum(t * t for t in told))
    return float(above / below**0.5) if below else 0.0


def share(above: float, below: float) -> float:
    """Divide what was counted by the number of all; NaN where there are none."""
    return float(above / below) if below else float("nan")


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide counts (classes,); 0 where nothing is below the line."""
    shares = np.zeros(len(above))
    np.divide(above, below, out=shares, where=below != 0)
    return shares
