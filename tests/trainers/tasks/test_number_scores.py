"""Metrics of numbers against scikit-learn and scipy, the same bits at any number of ranks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from configs.metric_names import NUMBERS
from tests.on_ranks import on_ranks
from trainers.tasks.number_scores import NumberScores, number_metrics

ROWS = 61


def _made() -> tuple[torch.Tensor, torch.Tensor]:
    """Values with ties, and predictions that lie around them."""
    source = torch.Generator().manual_seed(2)
    values = torch.randint(0, 6, (ROWS,), generator=source) / 2
    return values, values + torch.randn(ROWS, generator=source)


def _scored(rank: int, world_size: int, bounds: list[int]) -> dict[str, float]:
    values, predicted = _made()
    scores = NumberScores("cpu")
    for rows in torch.arange(bounds[rank], bounds[rank + 1]).split(7):
        labels = torch.cat([values[rows], torch.tensor([torch.nan])])
        told = torch.cat([predicted[rows], torch.tensor([1e9])])
        scores.update(SimpleNamespace(labels=labels, values=told), ~labels.isnan())
    return scores.compute().metrics


def test_metrics_are_those_of_other_libraries_at_any_number_of_ranks() -> None:
    values, predicted = (part.double().numpy() for part in _made())
    expected = {
        "mse": mean_squared_error(values, predicted),
        "rmse": mean_squared_error(values, predicted) ** 0.5,
        "mae": mean_absolute_error(values, predicted),
        "r2": r2_score(values, predicted),
        "pearson": stats.pearsonr(values, predicted)[0],
        "spearman": stats.spearmanr(values, predicted)[0],
    }
    alone = _scored(0, 1, [0, ROWS])
    assert tuple(alone) == NUMBERS
    assert alone == pytest.approx(expected, rel=1e-12)
    assert on_ranks(2, _scored, [0, 0, ROWS]) == [alone, alone]
    assert on_ranks(3, _scored, [0, 9, 40, ROWS]) == [alone] * 3


def test_what_does_not_vary_has_no_correlation() -> None:
    same = number_metrics(np.array([2.0, 2.0]), np.array([1.0, 3.0]))
    undefined = {name for name, value in same.items() if np.isnan(value)}
    assert undefined == {"r2", "pearson", "spearman"}
    assert same["mse"] == same["rmse"] == same["mae"] == 1.0
    assert np.isnan([*NumberScores("cpu").compute().metrics.values()]).all()
