"""Perplexity and accuracy of tokens are of all ranks' targets together."""

import math

import pytest
import torch

from tests.on_ranks import on_ranks
from trainers.tasks.causal import Answer
from trainers.tasks.continuations import Written
from trainers.token_metrics import TokenScores


def score(rank: int, world_size: int) -> dict[str, float]:
    scores = TokenScores("cpu")
    # Rank 0 has 3 targets of 1.0 each and 2 hits; rank 1 has 1 of 2.0, and a row that counts not.
    losses, hits, targets = ([3.0], [2], [3]) if rank == 0 else ([2.0, 9.0], [0, 5], [1, 5])
    # One text of two is right; that of the row that counts not is left out.
    texts = {0: "yes"} if rank == 0 else {0: "yes, yes", 1: "no"}
    answer = Answer(
        torch.tensor(losses, dtype=torch.float64),
        torch.tensor(hits),
        torch.tensor(targets),
        Written(texts, [], {0: "yes", 1: "no"}),
    )
    scores.update(answer, torch.tensor([True, False][: len(losses)]))
    return scores.compute().metrics


def test_sums_of_all_ranks_are_scored() -> None:
    for metrics in on_ranks(2, score):
        assert metrics["perplexity"] == pytest.approx(math.exp(5 / 4), rel=1e-12)
        assert metrics["token_accuracy"] == 2 / 4
        assert metrics["exact_match"] == 1 / 2
