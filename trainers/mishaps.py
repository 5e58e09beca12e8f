"""Remember what went wrong in steps so far; what is done about it stands in recovery.py.

It is a part of the cursor, so that a resume does the same bits.
"""

from statistics import median

from pydantic import BaseModel, ConfigDict

from configs.fault_sections import Faults

WINDOW_STEPS = 50
"""Steps whose losses tell what is usual."""
FEWEST_STEPS = 10
"""Steps before which nothing is taken to be usual."""
KEPT = ConfigDict(frozen=True, extra="forbid")


class LeftOut(BaseModel):
    """A microbatch that is not fed."""

    model_config = KEPT
    epoch: int
    step: int
    """Step in the epoch."""
    lane: int
    row_ids: tuple[int, ...]
    """Low halves of the row ids."""


class Mishaps(BaseModel):
    """What went wrong so far; a part of the cursor."""

    model_config = KEPT
    unmoved: tuple[int, ...] = ()
    """Optimizer steps, counted from 1, that moved no weight and no moment."""
    num_skipped: int = 0
    """How many of them were skipped because a number was not finite, or a loss too high."""
    num_rollbacks: int = 0
    left_out: tuple[LeftOut, ...] = ()
    losses: tuple[float, ...] = ()
    """Losses of the latest steps, where spikes are looked for."""

    @property
    def count(self) -> int:
        """Give the number of mishaps that faults.max_skipped bounds."""
        return self.num_skipped + self.num_rollbacks

    def moves(self, step: int, born: int) -> int:
        """Count the optimizer steps up to `step` that moved what began to learn at `born`."""
        return step - born - sum(born < unmoved <= step for unmoved in self.unmoved)

    def left_out_of(self, epoch: int) -> dict[tuple[int, int], LeftOut]:
        """Give what an epoch leaves out, by (step in the epoch, lane)."""
        return {(out.step, out.lane): out for out in self.left_out if out.epoch == epoch}

    def most_loss(self, faults: Faults) -> float:
        """Give the loss above which a step is a spike; infinite where none is."""
        if faults.spike_factor is None or len(self.losses) < FEWEST_STEPS:
            return float("inf")
        usual = median(self.losses)
        return faults.spike_factor * usual if usual > 0 else float("inf")

    def after(self, step: int, loss: float, faults: Faults, *, moved: bool) -> "Mishaps":
        """Give what is known after a step in which nothing went wrong."""
        losses, unmoved = self.losses, self.unmoved
        if faults.spike_factor is not None:
            losses = (*losses, loss)[-WINDOW_STEPS:]
        if not moved:
            unmoved = (*unmoved, step)
        return self.model_copy(update={"losses": losses, "unmoved": unmoved})
