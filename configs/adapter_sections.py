"""Recipe section about low-rank adapters; what else may learn stands in freezing_sections.py."""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from configs.model_sections import SECTION


class Lora(BaseModel):
    """Low-rank adapters that learn beside frozen weights."""

    model_config = SECTION

    rank: int = Field(default=8, ge=1)
    """Rank of the matrix that each adapter adds to a weight."""
    alpha: int = Field(default=16, ge=1)
    """What an adapter adds is scaled by alpha / rank, with `rslora` by alpha / sqrt(rank)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropout on what goes into an adapter while it trains."""
    targets: Literal["auto"] | tuple[str, ...] = "auto"
    """`auto`: all linear modules in the model's blocks; or names of modules, such as query."""
    dora: bool = False
    """Learn the length of each row of a weight apart from its direction (DoRA)."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps the step size at high ranks (rsLoRA)."""
    bits: Literal[4] | None = None
    """4 keeps the weights below the adapters in 4 bits (QLoRA, CUDA); None in full."""

    @field_validator("targets", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) and value != "auto" else value

    @field_validator("targets")
    @classmethod
    def _names_something(
        cls, targets: Literal["auto"] | tuple[str, ...]
    ) -> Literal["auto"] | tuple[str, ...]:
        if targets != "auto" and not all(targets or [""]):
            raise ValueError("found no name of a module. Use auto, or names such as [query, value]")
        return targets

    @property
    def title(self) -> str:
        """What learns, in a few words."""
        name = ("Q" if self.bits else "") + ("DoRA" if self.dora else "LoRA")
        return f"{name} of rank {self.rank}"

    def disagreements(self, *, gpus_per_worker: float, stage: int, precision: str) -> list[str]:
        """Say what of the other sections 4 bits do not allow, a sentence each."""
        if self.bits is None:
            return []
        key, problems = f"freezing.lora.bits {self.bits}", []
        if gpus_per_worker == 0:
            problems.append(f"{key} needs CUDA GPUs. Leave bits out, or set gpus_per_worker")
        if stage == 3:
            problems.append(f"{key} does not go with zero.stage 3. Use stage 0, 1 or 2")
        if precision != "bf16":
            problems.append(f"{key} computes in bf16, found precision {precision}. Use bf16")
        return problems
