"""Areas under ROC and precision-recall curves, exact at any number of ranks.

The probabilities of all rows are kept, and gathered a few classes at a time; nothing is binned, so
a sure model, whose probabilities all lie near 0 and 1, is judged as finely as any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_VALUES = 2**28
"""Rows times classes up to which areas are computed: a rank keeps 5 bytes of each of its own."""
VALUES_AT_ONCE = 2**24
MOST_NAMED = 5
"""Classes that are named among those left out."""


class CurveAreas:
    """Probabilities and truth of the rows seen so far, on one rank."""

    def __init__(
        self,
        num_classes: int,
        device: "torch.device | str",
        values_at_once: int = VALUES_AT_ONCE,
    ) -> None:
        import torch

        self._num_classes = num_classes
        self._device = device
        self._values_at_once = values_at_once
        self._rows = 0
        self._left_out: tuple[int, ...] = ()
        self._probabilities = [torch.zeros(0, num_classes)]
        self._truth = [torch.zeros(0, num_classes, dtype=torch.bool)]

    def update(self, probabilities: "Tensor", truth: "Tensor") -> None:
        """Take in rows: (rows, classes) fp32, and (rows, classes) bool."""
        self._rows += len(truth)
        if self._rows * self._num_classes > MOST_VALUES:
            del self._probabilities[1:], self._truth[1:]
            return
        self._probabilities.append(probabilities.cpu())
        self._truth.append(truth.cpu())

    def compute(self) -> dict[str, float]:
        """Average both areas over the classes that have them; none where there are too many rows.

        A class without rows, or without others, has neither: there is nothing to rank. NaN where no
        class has them. Collective: every rank calls this.
        """
        import torch

        from trainers.agreement import joined, rank_and_size, reduced, stacked

        rows = int(reduced([self._rows]).item())
        if rows * self._num_classes > MOST_VALUES:
            return {}
        rank, world_size = rank_and_size()
        probabilities, truth = torch.cat(self._probabilities), torch.cat(self._truth)
        areas = torch.zeros(self._num_classes, 2, dtype=torch.float64)
        width = max(1, self._values_at_once // max(1, rows))
        for first in range(0, self._num_classes, width):
            some = slice(first, first + width)
            both = torch.stack([probabilities[:, some], truth[:, some]], -1)  # (rows, width, 2)
            gathered = stacked(both.to(self._device)).cpu().numpy()
            for place in range(rank, gathered.shape[1], world_size):
                scores, hits = gathered[:, place, 0], gathered[:, place, 1] > 0
                areas[first + place, 0] = roc_auc(scores, hits)
                areas[first + place, 1] = average_precision(scores, hits)
                if hits.all():
                    areas[first + place, 1] = float("nan")
        # Each class is added to zeros, so that the sum has its bits.
        roc, precision = joined(areas.to(self._device)).cpu().numpy().T
        self._left_out = tuple(np.flatnonzero(np.isnan(roc)).tolist())
        return {"roc_auc": _mean(roc), "average_precision": _mean(precision)}

    def remarks(self, label_names: Sequence[str]) -> tuple[str, ...]:
        """Say which classes the areas just computed leave out."""
        if not self._left_out:
            return ()
        if len(self._left_out) == self._num_classes:
            return (
                "roc_auc and average_precision are undefined: each label has none of the "
                "rows or all of them, so there is nothing to rank",
            )
        names = [label_names[place] for place in self._left_out[:MOST_NAMED]]
        more = len(self._left_out) - len(names)
        shown = f"{', '.join(names)}{f' and {more} more' if more else ''}"
        return (
            f"roc_auc and average_precision leave out {shown}: none of the rows, or all of "
            "them, have that label",
        )


def roc_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Give the area under the ROC curve: the share of pairs that stand in the right order.

    NaN without a row of either kind.
    """
    hits, rows = _by_score(scores, truth)
    others = rows - hits
    pairs = int(hits.sum()) * int(others.sum())
    # Pairs with equal scores count half: twice the pairs below, and those beside once.
    below = np.cumsum(others) - others
    return float(np.sum(hits * (2 * below + others)) / (2 * pairs)) if pairs else float("nan")


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Average the precision at each score, weighted by the recall gained there; NaN without hits.

    It is that of scikit-learn, without interpolation.
    """
    hits, rows = (np.cumsum(counts[::-1]) for counts in _by_score(scores, truth))
    if not len(hits) or not hits[-1]:
        return float("nan")
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * (hits / rows)))


def _by_score(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count hits and rows at each different score, lowest first."""
    different, places = np.unique(scores, return_inverse=True)
    rows = np.bincount(places, minlength=len(different))
    return np.bincount(places[truth], minlength=len(different)), rows


def _mean(areas: np.ndarray) -> float:
    known = areas[~np.isnan(areas)]
    return float(known.mean()) if len(known) else float("nan")
