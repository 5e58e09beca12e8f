"""Metrics of told numbers, exact at any number of ranks; what the numbers are is the task's.

Values and predictions of all rows are gathered, once a row, and put in an order of their own:
however the rows were divided over ranks, the sums below are taken in the same order.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from configs.metric_names import NUMBERS
from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class NumberScores:
    """Values and predictions of the rows seen so far, on one rank: 8 bytes a row."""

    def __init__(self, device: "torch.device | str") -> None:
        import torch

        self._device = device
        self._pairs = [torch.zeros(0, 2)]

    def update(self, answer: Any, counted: "Tensor") -> None:
        """Take in `values` and `labels` of an answer, each (rows,)."""
        import torch

        pairs = torch.stack([answer.labels.float(), answer.values.float()], -1)  # (rows, 2)
        self._pairs.append(pairs[counted].cpu())

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""
        import torch

        from trainers.agreement import stacked

        pairs = stacked(torch.cat(self._pairs).to(self._device)).cpu().double().numpy()
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        return Scored(number_metrics(pairs[:, 0], pairs[:, 1]), remarks=_remarks(pairs))


def number_metrics(values: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Compare predictions (rows,) with values (rows,), both float64.

    NaN where there are no rows, for the share of variance where values do not vary, and for a
    correlation with what does not vary.
    """
    if not len(values):
        return dict.fromkeys(NUMBERS, float("nan"))
    errors = predicted - values
    mse = float(np.mean(errors**2))
    spread = float(np.mean((values - values.mean()) ** 2))
    return {
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.mean(np.abs(errors))),
        "r2": 1 - mse / spread if spread else float("nan"),
        "pearson": pearson(values, predicted),
        "spearman": spearman(values, predicted),
    }


def _remarks(pairs: np.ndarray) -> tuple[str, ...]:
    if not len(pairs) or np.ptp(pairs[:, 0]):
        same = len(pairs) and not np.ptp(pairs[:, 1])
        text = "pearson and spearman are undefined: all predictions are the same number"
        return (text,) if same else ()
    return ("r2, pearson and spearman are undefined: all labels are the same number",)


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Give the correlation of two columns (rows,); NaN where one of them does not vary."""
    a, b = first - first.mean(), second - second.mean()
    below = float(np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b)))
    return float(np.clip(np.sum(a * b) / below, -1, 1)) if below else float("nan")


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Give the correlation of the ranks of two columns; those of equal values are averaged."""
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])
