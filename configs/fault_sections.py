"""Recipe section about what a run does when something goes wrong on a rank."""

from typing import Literal

from pydantic import BaseModel, Field

from configs.model_sections import SECTION


class Faults(BaseModel):
    """What is done about ranks that hang, drift apart or lack memory, and about bad numbers."""

    model_config = SECTION

    watchdog_s: float = Field(default=600, gt=0)
    """Seconds without progress of a rank after which the attempt is ended, with the stacks of all
    ranks, and tried once more; loading and exporting may take three times as long."""
    on_nonfinite: Literal["fail", "skip", "rollback"] = "fail"
    """What follows a loss or gradient norm that is not finite: the run fails, the step moves
    nothing, or the run goes back to its last commit and leaves the microbatches in question out."""
    max_skipped: int = Field(default=10, ge=0)
    """Steps of a run that may be skipped or rolled back; it fails at the next one."""
    feed_parts: int = Field(default=1, ge=1, le=64)
    """Parts that each microbatch is fed in, one after another: less memory, the same rows and loss;
    doubled by itself, up to 8, when memory runs out. Dropout masks differ from those of whole
    microbatches."""
    checksum_every_steps: int | None = Field(default=500, ge=1)
    """Optimizer steps between comparisons of what all ranks must hold alike; None compares
    nothing."""
    spike_factor: float | None = Field(default=None, gt=1)
    """A step whose loss is so many times the median of the last 50 steps is treated as one that is
    not finite; None never does."""
