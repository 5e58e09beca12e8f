"""Recall and reciprocal rank against a plain sort, the same bits at any number of ranks."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from configs.metric_names import RETRIEVAL
from tests.on_ranks import on_ranks
from trainers.tasks.retrieval_scores import RetrievalScores

ROWS = 37


def _made() -> torch.Tensor:
    """Anchors and positives, (2, rows, width), of length 1; the last two positives are equal."""
    source = torch.Generator().manual_seed(6)
    anchors = torch.randn(ROWS, 5, generator=source)
    positives = anchors + 1.5 * torch.randn(ROWS, 5, generator=source)
    positives[-1] = positives[-2]
    return functional.normalize(torch.stack([anchors, positives]), dim=-1)


def _scored(rank: int, world_size: int, bounds: list[int]) -> dict[str, float]:
    vectors, scores = _made(), RetrievalScores("cpu")
    for rows in torch.arange(bounds[rank], bounds[rank + 1]).split(4):
        padded = torch.cat([vectors[:, rows], torch.ones(2, 1, 5)], 1)
        counted = torch.arange(len(rows) + 1) < len(rows)
        scores.update(SimpleNamespace(vectors=padded), counted)
    return scores.compute().metrics


def test_each_positive_is_ranked_among_those_of_all_rows() -> None:
    anchors, positives = _made().double()
    cosines = anchors @ positives.T
    # The two equal positives do not stand in each other's way.
    cosines[-1, -2] = cosines[-2, -1] = -1.0
    order = cosines.argsort(descending=True)
    ranks = [order[row].tolist().index(row) + 1 for row in range(ROWS)]
    expected = {f"recall_at_{n}": sum(r <= n for r in ranks) / ROWS for n in (1, 5, 10)}
    expected["mean_reciprocal_rank"] = sum(1 / r for r in ranks) / ROWS
    alone = _scored(0, 1, [0, ROWS])
    assert tuple(alone) == RETRIEVAL
    assert alone == pytest.approx(expected, rel=1e-11)
    assert 0 < alone["recall_at_1"] < alone["recall_at_5"] < 1
    assert on_ranks(2, _scored, [0, 0, ROWS]) == [alone] * 2
    assert on_ranks(3, _scored, [0, 5, 20, ROWS]) == [alone] * 3


def test_far_too_many_rows_are_not_kept() -> None:
    scores = RetrievalScores("cpu", most_values=5 * 30)
    for rows in torch.arange(ROWS).split(10):
        scores.update(SimpleNamespace(vectors=_made()[:, rows]), torch.ones(len(rows)).bool())
    assert scores.compute().metrics == {}
