"""Metrics of told sets of labels, exact at any number of ranks; how they are told is the task's.

All of them come from whole numbers that ranks add up, but for the areas of curve_areas.py.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.metrics import NUM_THRESHOLDS, per_class_scores, ratio, share
from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class LabelSetScores:
    """Counts over the rows seen so far, on one rank."""

    def __init__(
        self, label_names: tuple[str, ...], threshold: float, device: "torch.device | str"
    ) -> None:
        import torch

        # Imported at first use: torchmetrics takes a second that no training step has to wait for.
        from torchmetrics.classification import MultilabelPrecisionRecallCurve

        from trainers.curve_areas import CurveAreas

        classes = len(label_names)
        self._label_names = label_names
        self._threshold = threshold
        self._counts = torch.zeros(3, classes, dtype=torch.int64, device=device)
        self._rows = torch.zeros(2, dtype=torch.int64, device=device)
        self._areas = CurveAreas(classes, device)
        self._curves = MultilabelPrecisionRecallCurve(
            classes, thresholds=NUM_THRESHOLDS, validate_args=False
        ).to(device)

    def update(self, answer: Any, counted: "Tensor") -> None:
        """Count `probabilities` and `labels` of an answer, each (rows, classes)."""
        import torch

        probabilities, truth = answer.probabilities[counted], answer.labels[counted] > 0
        told = probabilities >= self._threshold
        self._counts += torch.stack([(told & truth).sum(0), told.sum(0), truth.sum(0)])
        whole = (told == truth).all(1).sum()
        self._rows += torch.stack([whole, whole.new_tensor(len(truth))])
        self._areas.update(probabilities, truth)
        self._curves.update(probabilities, truth.long())

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""
        from trainers.agreement import joined

        hits, told, support = joined(self._counts.clone()).cpu().numpy()
        whole, rows = joined(self._rows.clone()).tolist()
        with self._curves.sync_context():
            pr_counts = self._curves.confmat.cpu().numpy().copy()
        metrics = {
            "subset_accuracy": share(whole, rows),
            **_averages(hits, told, support),
            "hamming_loss": share(int((told + support - 2 * hits).sum()), rows * len(hits)),
            **self._areas.compute(),
        }
        if not rows:
            metrics = dict.fromkeys(metrics, float("nan"))
        return Scored(
            metrics,
            self._label_names,
            per_class_scores(self._label_names, hits, told, support),
            pr_counts=pr_counts,
            remarks=self._areas.remarks(self._label_names),
        )


def _averages(hits: np.ndarray, told: np.ndarray, support: np.ndarray) -> dict[str, float]:
    f1 = ratio(2 * hits, told + support)
    return {
        "macro_f1": float(f1.mean()),
        "micro_f1": 2 * int(hits.sum()) / max(1, int((told + support).sum())),
        "weighted_f1": float((f1 * support).sum() / max(1, int(support.sum()))),
        "macro_precision": float(ratio(hits, told).mean()),
        "macro_recall": float(ratio(hits, support).mean()),
    }
