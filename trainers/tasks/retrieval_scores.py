"""How often a text finds the one that belongs to it among all, exact at any number of ranks.

The vectors of all rows are kept, and those of the other ranks gathered once.
"""

from typing import TYPE_CHECKING, Any

from configs.metric_names import RETRIEVAL
from trainers.metrics import share
from trainers.tasks.judging import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FIRST = (1, 5, 10)
MOST_VALUES = 2**28
"""Rows times width up to which they are scored: each rank holds all positives in fp32."""
VALUES_AT_ONCE = 2**24
MARGIN = 1e-7
"""What a cosine must be higher by: equal texts, whose vectors rounding tells apart, are as near."""
UNITS = 2**40
"""The inverse of a rank is added up as so many parts of 1: whole numbers have no order."""


class RetrievalScores:
    """Vectors of anchors and positives seen so far, on one rank."""

    def __init__(self, device: "torch.device | str", most_values: int = MOST_VALUES) -> None:
        self._device = device
        self._most_values = most_values
        self._rows, self._width = 0, 1
        self._pairs: list[Tensor] = []

    def update(self, answer: Any, counted: "Tensor") -> None:
        """Take in `vectors` of an answer, (parts, rows, width), anchors and positives first."""
        pairs = answer.vectors[:2, counted].cpu()
        self._rows += pairs.shape[1]
        self._width = pairs.shape[2]
        self._pairs.append(pairs)
        if self._rows * self._width > self._most_values:
            # The sum over ranks will be larger still.
            self._pairs = [pairs[:, :0]]

    def compute(self) -> Scored:
        """Rank each positive among those of all rows; none where there are too many.

        Collective: every rank calls this.
        """
        import torch
        import torch.distributed as dist

        from trainers.agreement import reduced, stacked

        rows = int(reduced([self._rows]).item())
        # A rank may have seen no row.
        width = int(reduced([self._width], dist.ReduceOp.MAX).item())
        if rows * width > self._most_values:
            return Scored({})
        pairs = torch.cat([torch.zeros(2, 0, width), *self._pairs], 1).to(self._device)
        anchors, positives = pairs[0].double(), pairs[1].double()
        everyone = stacked(pairs[1]).double()
        sums = [0] * len(RETRIEVAL)
        for some in torch.arange(len(anchors)).split(max(1, VALUES_AT_ONCE // max(1, rows))):
            asked = anchors[some]
            own = (asked * positives[some]).sum(-1, keepdim=True)
            ranks = 1 + (asked @ everyone.T > own + MARGIN).sum(-1)
            for place, first in enumerate(FIRST):
                sums[place] += int((ranks <= first).sum())
            sums[-1] += int((UNITS / ranks.double()).round().long().sum())
        *hits, inverses = reduced(sums).tolist()
        found = [*hits, inverses / UNITS]
        return Scored({name: share(n, rows) for name, n in zip(RETRIEVAL, found, strict=True)})
