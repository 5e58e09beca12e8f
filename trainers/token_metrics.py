"""Metrics of tokens foretold and texts written, from sums that all ranks add up."""

import math
from typing import TYPE_CHECKING, Any

import torch

from trainers.agreement import joined
from trainers.metrics import share
from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.tasks.causal import Answer

LARGEST_LOG = 700.0
"""Its exponential is still a float."""


class TokenScores:
    """Loss, hits and number of the targets seen so far, and of the texts written, on one rank."""

    def __init__(self, device: Any) -> None:
        self._sums = torch.zeros(5, dtype=torch.float64, device=device)

    def update(self, answer: "Answer", counted: "Tensor") -> None:
        """Take in rows, but for those where `counted`, (rows,), is False."""
        columns = (answer.losses, answer.hits, answer.targets)
        written = answer.written
        rows = [row for row in written.texts if counted[row]]
        same = sum(written.texts[row] == written.expected[row] for row in rows)
        sums = [values[counted].double().sum() for values in columns]
        self._sums[:3] += torch.stack(sums)
        self._sums[3:] += torch.tensor([same, len(rows)], device=self._sums.device)

    def compute(self) -> Scored:
        """Give perplexity, e to the mean loss of a target, and the share of hits.

        Where texts were written, also the share of those that are just what was to be written.
        Collective: every rank calls this. Whole numbers are exact in float64 up to 2^53.
        """
        loss, hits, targets, same, texts = joined(self._sums.clone()).tolist()
        metrics = {
            "perplexity": math.exp(min(share(loss, targets), LARGEST_LOG)),
            "token_accuracy": share(hits, targets),
        }
        if texts:
            metrics["exact_match"] = same / texts
        return Scored(metrics)
