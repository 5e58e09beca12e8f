"""Microbatches of about equally many tokens; which rows stand beside each other is lanes.py's.

The number of steps must be known before any row is read, and be the same for all lanes. So it is
taken from the lengths of the whole split, with room for windows that happen to be longer, and each
window is then cut into that many microbatches whose largest is as small as can be.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]

WINDOW_ROWS = 4096
WINDOW_STEPS = 64
DEVIATIONS = 3.0
"""Standard deviations of a window's tokens above the mean that still keep to the budget."""
PRECISION = 128
"""A window's largest microbatch is the smallest possible one to within this part of it."""


@dataclass(frozen=True)
class TokenBudget:
    """How many steps a split takes where microbatches are cut by tokens."""

    pad_to_multiple_of: int
    window_steps: int
    """Steps of one window."""
    window_rows: int
    """Rows of one lane in one window, on average."""

    def steps(self, lane_rows: int) -> int:
        """Give the steps of a lane of so many rows."""
        return -(-lane_rows * self.window_steps // self.window_rows) if lane_rows else 0

    def cut(self, sizes: Rows, pieces: int) -> Rows:
        """Cut rows, sorted by length, so that the largest piece is small; gives pieces + 1 bounds.

        A piece costs its rows times its padded longest row. The last pieces may be empty.
        """
        padded = _padded(sizes, self.pad_to_multiple_of).tolist()
        low, high = 0, len(padded) * padded[-1]
        while high - low > max(1, high // PRECISION):
            middle = (low + high) // 2
            if len(_greedy(padded, middle, pieces)) <= pieces:
                high = middle
            else:
                low = middle
        ends = _greedy(padded, high, pieces)
        return np.array([0, *ends, *[len(padded)] * (pieces - len(ends))], np.int64)


def plan_tokens(
    lengths: Mapping[int, int], microbatch_tokens: int, pad_to_multiple_of: int, lane_rows: int
) -> TokenBudget:
    """Choose the steps of a window from a split's rows by length in tokens.

    A window whose rows are longer than DEVIATIONS standard deviations above the mean exceeds
    microbatch_tokens, by as much as it is longer.
    """
    values = np.array(sorted(lengths), np.int64)
    counts = np.array([lengths[int(value)] for value in values], np.int64)
    cost = _padded(values, pad_to_multiple_of)
    mean = float((cost * counts).sum() / counts.sum())
    deviation = float(np.sqrt(((cost - mean) ** 2 * counts).sum() / counts.sum()))
    rows = int(WINDOW_STEPS * microbatch_tokens / mean)
    rows = max(1, min(rows, WINDOW_ROWS, lane_rows))
    # The window that has each length as often as the split has it.
    ranks = (2 * np.arange(rows, dtype=np.int64) + 1) * counts.sum() // (2 * rows)
    typical = cost[np.searchsorted(np.cumsum(counts), ranks, side="right")].tolist()
    pieces = len(_greedy(typical, max(microbatch_tokens, typical[-1]), rows))
    room = 1 + DEVIATIONS * deviation / mean / rows**0.5
    return TokenBudget(pad_to_multiple_of, min(rows, int(np.ceil(pieces * room))), rows)


def _padded(sizes: Rows, multiple: int) -> Rows:
    return -(-sizes.astype(np.int64) // multiple) * multiple


def _greedy(costs: list[int], limit: int, most: int) -> list[int]:
    """Fill one piece after another up to the limit; gives their ends, at most one too many."""
    ends: list[int] = []
    start, total = 0, len(costs)
    while start < total and len(ends) <= most:

        def cost(stop: int, first: int = start) -> int:
            return (stop - first) * costs[stop - 1]

        reached = bisect_right(range(start + 1, total + 1), limit, key=cost)
        if reached == 0:
            return [0] * (most + 1)
        start += reached
        ends.append(start)
    return ends
