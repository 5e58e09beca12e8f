"""Which rows a lane feeds at which step; what rows hold and which rank feeds them stands elsewhere.

Pure arithmetic on (seed, epoch, lane, step): nothing depends on the number of ranks, and a position
in the middle of an epoch is found without replaying what came before it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trainers.data.random_order import mixed, order_key, permutation
from trainers.data.token_budget import WINDOW_ROWS, WINDOW_STEPS, TokenBudget

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Lengths = Callable[[int, int], np.ndarray[tuple[int], np.dtype[np.int32]]]
"""Gives the lengths in tokens of the rows from the first number up to the second."""

BLOCK_ROWS = 256
BLOCKS_PER_LANE = 64
ORDER, TIES, STEPS = range(3)


@dataclass(frozen=True)
class Window:
    """A stretch of a lane's steps whose rows are read and sorted by length together."""

    first_step: int
    rows: Rows
    """Row numbers of the split, microbatch after microbatch."""
    bounds: Rows
    """Microbatch i of the window is rows[bounds[i]:bounds[i + 1]]."""


@dataclass(frozen=True)
class LanePlan:
    """How the rows of a split are dealt to lanes and steps.

    Lane i owns a contiguous range of rows, as long as every other lane's to within one row, and
    spreads it evenly over the same number of steps.
    """

    num_rows: int
    lanes: int
    microbatch_size: int
    seed: int
    shuffle: bool
    """Whether the order differs from epoch to epoch; evaluation goes through the rows in order."""
    budget: TokenBudget | None = None
    """Cuts microbatches by tokens; None cuts them by rows, microbatch_size at most."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every lane has fed each of its rows once."""
        longest_lane = -(-self.num_rows // self.lanes)
        if self.budget is not None:
            return self.budget.steps(longest_lane)
        return -(-longest_lane // self.microbatch_size)

    @property
    def num_windows(self) -> int:
        """Windows of an epoch, the same number in every lane."""
        if self.budget is not None:
            return -(-self.steps_per_epoch // self.budget.window_steps)
        steps = max(1, min(WINDOW_STEPS, WINDOW_ROWS // self.microbatch_size))
        return -(-self.steps_per_epoch // steps)

    def lane_range(self, lane: int) -> tuple[int, int]:
        """Give the first row of a lane and the row after its last."""
        assert 0 <= lane < self.lanes, f"lane {lane} of {self.lanes}"
        return lane * self.num_rows // self.lanes, (lane + 1) * self.num_rows // self.lanes

    def microbatches(
        self, epoch: int, lane: int, lengths: Lengths, start_step: int = 0
    ) -> Iterator[Rows]:
        """Yield the row numbers of one microbatch a step, possibly none, from `start_step` on."""
        for window in self.windows(epoch, lane, lengths, start_step):
            for start, stop in zip(window.bounds[:-1], window.bounds[1:], strict=True):
                yield window.rows[start:stop]

    def windows(
        self, epoch: int, lane: int, lengths: Lengths, start_step: int = 0
    ) -> Iterator[Window]:
        """Yield the lane's windows, what lies before `start_step` left out."""
        steps, count = self.steps_per_epoch, self.num_windows
        if start_step >= steps:
            return
        blocks = _Blocks(*self.lane_range(lane), self._keys(ORDER, epoch, lane))
        for number in range(((start_step + 1) * count - 1) // steps, count):
            window = self._window(epoch, lane, number, blocks, lengths)
            skipped = max(0, start_step - window.first_step)
            yield Window(window.first_step + skipped, window.rows, window.bounds[skipped:])

    def _window(
        self, epoch: int, lane: int, number: int, blocks: "_Blocks", lengths: Lengths
    ) -> Window:
        """Sort a window's rows by length, cut them, put the pieces in the order of this epoch."""
        steps, count = self.steps_per_epoch, self.num_windows
        first, stop = number * steps // count, (number + 1) * steps // count
        bounds = np.arange(first, stop + 1, dtype=np.int64) * blocks.num_rows // steps
        ranges = blocks.ranges(int(bounds[0]), int(bounds[-1]))
        if not ranges:
            return Window(first, np.zeros(0, np.int64), bounds - bounds[0])
        rows = np.concatenate([np.arange(*each, dtype=np.int64) for each in ranges])
        sizes = np.concatenate([lengths(*each) for each in ranges])
        ties = self._keys(TIES, epoch, lane)
        sorted_by_length = np.lexsort((rows if ties is None else mixed(ties, rows), sizes))
        rows = rows[sorted_by_length]
        bounds -= bounds[0]
        if self.budget is not None:
            bounds = self.budget.cut(sizes[sorted_by_length], stop - first)
        # Without the lane: every lane feeds the same length quantile at the same step, so that no
        # rank waits for another.
        order = permutation(self._keys(STEPS, epoch, number), stop - first)
        pieces = [rows[bounds[piece] : bounds[piece + 1]] for piece in order]
        ends = np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int64)
        return Window(first, np.concatenate(pieces), ends)

    def _keys(self, purpose: int, epoch: int, place: int) -> np.uint64 | None:
        """Give the key of a random order; None stands for the order as it is."""
        if not self.shuffle:
            return None
        return order_key(self.seed, purpose, epoch, place)


class _Blocks:
    """A lane's rows as short contiguous blocks in the order of one epoch; a few bytes a block."""

    def __init__(self, first: int, stop: int, key: np.uint64 | None) -> None:
        self.num_rows = stop - first
        size = max(1, min(BLOCK_ROWS, self.num_rows // BLOCKS_PER_LANE))
        count = 1 if key is None else -(-self.num_rows // size)
        bounds = first + np.arange(count + 1, dtype=np.int64) * self.num_rows // max(1, count)
        order = permutation(key, count)
        self.starts = bounds[:-1][order]
        self.places = np.concatenate([[0], np.cumsum((bounds[1:] - bounds[:-1])[order])])

    def ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Give the row ranges that places `start` to `stop` of the epoch's order stand for."""
        if start == stop:
            return []
        block = int(np.searchsorted(self.places, start, side="right")) - 1
        found = []
        while start < stop:
            end = min(stop, int(self.places[block + 1]))
            row = int(self.starts[block] + start - self.places[block])
            found.append((row, row + end - start))
            start, block = end, block + 1
        return found
