"""Metrics of sets of labels against scikit-learn, the same bits at any number of ranks."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs

from configs.metric_names import LABEL_SETS
from tests.on_ranks import on_ranks
from trainers.tasks.judging import Scored
from trainers.tasks.label_set_scores import LabelSetScores

NAMES = ("a", "b", "c", "d")
ROWS = 83


def _made() -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and labels (rows, classes); d never applies, c is never told."""
    source = torch.Generator().manual_seed(4)
    labels = (torch.rand(ROWS, 4, generator=source) < 0.4).float()
    labels[:, 3] = 0.0
    probabilities = (0.5 * labels + torch.rand(ROWS, 4, generator=source)).clamp(max=1)
    probabilities[:, 2] *= 0.5
    return probabilities, labels


def _scored(rank: int, world_size: int, bounds: list[int]) -> Scored:
    probabilities, labels = _made()
    scores = LabelSetScores(NAMES, 0.6, "cpu")
    for rows in torch.arange(bounds[rank], bounds[rank + 1]).split(9):
        truth = torch.cat([labels[rows], torch.full((1, 4), torch.nan)])
        told = torch.cat([probabilities[rows], torch.ones(1, 4)])
        answer = SimpleNamespace(labels=truth, probabilities=told)
        scores.update(answer, ~truth.isnan().any(1))
    return scores.compute()


def test_metrics_are_those_of_scikit_learn() -> None:
    probabilities, labels = _made()
    found, truth, told = _scored(0, 1, [0, ROWS]), labels.bool(), probabilities >= 0.6
    zero: dict[str, Any] = {"zero_division": 0}
    apply = slice(0, 3)
    expected = {
        "subset_accuracy": theirs.accuracy_score(truth, told),
        "macro_f1": theirs.f1_score(truth, told, average="macro", **zero),
        "micro_f1": theirs.f1_score(truth, told, average="micro", **zero),
        "weighted_f1": theirs.f1_score(truth, told, average="weighted", **zero),
        "macro_precision": theirs.precision_score(truth, told, average="macro", **zero),
        "macro_recall": theirs.recall_score(truth, told, average="macro", **zero),
        "hamming_loss": theirs.hamming_loss(truth, told),
        "roc_auc": theirs.roc_auc_score(truth[:, apply], probabilities[:, apply], average="macro"),
        "average_precision": theirs.average_precision_score(
            truth[:, apply], probabilities[:, apply], average="macro"
        ),
    }
    assert tuple(found.metrics) == LABEL_SETS
    assert found.metrics == pytest.approx(expected, rel=1e-12)
    columns = theirs.precision_recall_fscore_support(truth, told, **zero)
    for place, name in enumerate(NAMES):
        row = [float(column[place]) for column in columns]
        assert list(found.per_class[name].values()) == pytest.approx(row, rel=1e-12)
    assert found.pr_counts is not None
    assert np.array_equal(found.pr_counts[0].sum((1, 2)), [ROWS] * 4)
    assert np.array_equal(found.pr_counts[60, :, 1, 1], (told & truth).sum(0))


def test_uneven_ranks_give_the_bits_of_one() -> None:
    alone = _scored(0, 1, [0, ROWS])
    for found in on_ranks(2, _scored, [0, 12, ROWS]):
        assert found.metrics == alone.metrics
        assert found.per_class == alone.per_class


def test_nothing_to_judge_is_undefined() -> None:
    assert np.isnan([*LabelSetScores(NAMES, 0.5, "cpu").compute().metrics.values()]).all()
