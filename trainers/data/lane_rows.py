"""The rows that one lane feeds in one epoch, as they are or drawn; their order is lanes.py's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from trainers.data.class_balance import ClassRates
from trainers.data.lanes import LanePlan
from trainers.data.recordings import Recording, Rows, Sizes
from trainers.data.store import ROW_ID, Split

if TYPE_CHECKING:
    import torch

OpenRecording = Callable[[int, int], Recording]


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
    recording: Recording | None = None
    """What the frozen prefix of the model gives for the lane's rows."""

    def lengths(self, start: int, stop: int) -> Sizes:
        """Give the lengths in tokens of the rows from `start` up to `stop`."""
        if self.drawn is None:
            return self.split.lengths(start, stop)
        return self.drawn.lengths[start - self.first : stop - self.first]

    def read(self, numbers: Rows) -> pa.Table:
        """Read rows by the plan's numbers, in the order asked for."""
        return self.split.read(self._rows(numbers))

    def recorded(self, numbers: Rows, lengths: Sizes, width: int) -> "torch.Tensor | None":
        """Give what is recorded of rows by the plan's numbers; one blank row for none."""
        if self.recording is None:
            return None
        if not len(numbers):
            return self.recording.shape.blank(width)
        return self.recording.read(self._rows(numbers), lengths, width)

    def read_any(self) -> pa.Table:
        """Read one row of the split, whichever."""
        return self.split.read(np.array([self.home]))

    def avoiding(self, numbers: Rows) -> "LaneRows":
        """Give the same lane, at home in a row that is none of these by the plan's numbers."""
        avoided = set(self._rows(numbers).tolist())
        # Nearest first: most likely of the shard that is open anyway.
        places = range(self.home, self.home + self.split.info.rows)
        others = (place % self.split.info.rows for place in places)
        return replace(self, home=next((row for row in others if row not in avoided), self.home))

    def _rows(self, numbers: Rows) -> Rows:
        """Give the numbers in the split."""
        return numbers if self.drawn is None else self.drawn.rows[numbers - self.first]

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
    *,
    recording: OpenRecording | None = None,
) -> list[LaneRows]:
    """Open a rank's lanes: rank, rank + world_size, and so on.

    `draw` are rates and epoch where rows are drawn by class; None feeds each row once. `recording`
    opens what the frozen prefix gives for the rows from one number up to another.
    """
    rows = split.info.rows
    expected = rows if draw is None else draw[0].num_rows
    assert plan.num_rows == expected, "the plan is another split's"
    assert plan.lanes % world_size == 0, f"{plan.lanes} lanes on {world_size} ranks"
    opened = []
    for lane in range(rank, plan.lanes, world_size):
        start, stop = lane_rows(rows, plan.lanes, lane)
        first, end = plan.lane_range(lane)
        drawn = None
        if draw is not None:
            rates, epoch = draw
            labels = split.column("label", start, stop)
            places = rates.draw(labels, end - first, plan.seed, epoch, lane)
            drawn = _Drawn(start + places, split.lengths(start, stop)[places])
        recorded = recording(start, stop) if recording is not None else None
        opened.append(LaneRows(lane, split, first, min(start, rows - 1), drawn, recorded))
    return opened


def lane_rows(rows: int, lanes: int, lane: int) -> tuple[int, int]:
    """Give the first row of a split that a lane owns, and the row after its last."""
    return lane * rows // lanes, (lane + 1) * rows // lanes
