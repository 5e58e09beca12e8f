"""Recipe section about what a run does when something goes wrong on a rank."""

from pydantic import BaseModel, Field

from configs.model_sections import SECTION


class Faults(BaseModel):
    """What is done about ranks that hang or drift apart."""

    model_config = SECTION

    watchdog_s: float = Field(default=600, gt=0)
    """Seconds without progress of a rank after which the attempt is ended, with the stacks of all
    ranks, and tried once more; loading and exporting may take three times as long."""
    checksum_every_steps: int | None = Field(default=500, ge=1)
    """Optimizer steps between comparisons of what all ranks must hold alike; None compares
    nothing."""
