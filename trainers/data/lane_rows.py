"""The rows that one lane feeds in one epoch, as they are or drawn; their order is lanes.py's."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trainers.data.class_balance import ClassRates
from trainers.data.lanes import LanePlan
from trainers.data.store import ROW_ID, Split

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Sizes = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True)
class _Drawn:
    """Rows that were drawn from a lane: 12 bytes a row."""

    rows: Rows
    """Row numbers of the split, by their place in the lane."""
    lengths: Sizes


@dataclass(frozen=True)
class LaneRows:
    """One lane's rows under the numbers that the plan gives them."""

    lane: int
    split: Split
    first: int
    """The plan's number of the lane's first row."""
    home: int
    """Number in the split of a row that the lane's rank reads anyway."""
    drawn: _Drawn | None

    def lengths(self, start: int, stop: int) -> Sizes:
        """Give the lengths in tokens of the rows from `start` up to `stop`."""
        if self.drawn is None:
            return self.split.lengths(start, stop)
        return self.drawn.lengths[start - self.first : stop - self.first]

    def read(self, numbers: Rows) -> pa.Table:
        """Read rows by the plan's numbers, in the order asked for."""
        if self.drawn is None:
            return self.split.read(numbers)
        return self.split.read(self.drawn.rows[numbers - self.first])

    def read_any(self) -> pa.Table:
        """Read one row of the split, whichever."""
        return self.split.read(np.array([self.home]))

    def id_sum(self) -> int:
        """Sum the low halves of the drawn rows' ids mod 2^64."""
        assert self.drawn is not None, "the manifest tells the sum of rows that are not drawn"
        low, high = int(self.drawn.rows.min()), int(self.drawn.rows.max()) + 1
        ids = self.split.column(ROW_ID, low, high)
        return int(ids[self.drawn.rows - low].sum(dtype=np.uint64))


def open_lanes(
    split: Split,
    plan: LanePlan,
    rank: int,
    world_size: int,
    draw: tuple[ClassRates, int] | None = None,
) -> list[LaneRows]:
    """Open a rank's lanes: rank, rank + world_size, and so on.

    `draw` are rates and epoch where rows are drawn by class; None feeds each row once.
    """
    rows = split.info.rows
    expected = rows if draw is None else draw[0].num_rows
    assert plan.num_rows == expected, "the plan is another split's"
    assert plan.lanes % world_size == 0, f"{plan.lanes} lanes on {world_size} ranks"
    opened = []
    for lane in range(rank, plan.lanes, world_size):
        start, stop = lane * rows // plan.lanes, (lane + 1) * rows // plan.lanes
        first, end = plan.lane_range(lane)
        drawn = None
        if draw is not None:
            rates, epoch = draw
            labels = split.column("label", start, stop)
            places = rates.draw(labels, end - first, plan.seed, epoch, lane)
            drawn = _Drawn(start + places, split.lengths(start, stop)[places])
        opened.append(LaneRows(lane, split, first, min(start, rows - 1), drawn))
    return opened
