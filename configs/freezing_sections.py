"""Recipe section about what learns, phase by phase; how fast it learns is the optimizer's."""

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from configs.adapter_sections import Lora
from configs.model_sections import SECTION
from configs.run_sections import EarlyStopping

ULMFIT_DECAY = 2.6
"""Factor between the rates of two blocks (Howard and Ruder 2018, section 3.2)."""


class Learning(BaseModel):
    """Which parameters learn in a phase."""

    model_config = SECTION

    mode: Literal["head", "partial", "full"] = "full"
    """`head`: only the head; `partial`: the head and what is named below; `full`: everything."""
    last: int | None = Field(default=None, ge=1)
    """With `partial`: how many blocks learn, counted from the output."""
    train: tuple[str, ...] = ()
    """With `partial`: regular expressions; a parameter whose name one of them finds learns."""
    embeddings: bool | None = None
    """Whether the input embeddings learn; None means only with `full`."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """Read `head`, `all` and `{last: 2}` as the whole they stand for."""
        if isinstance(value, str):
            modes = {"head": "head", "all": "full", "full": "full"}
            if value not in modes:
                raise ValueError(
                    f"found {value!r}, allowed is head, all, {{last: N}} or {{train: [patterns]}}"
                )
            return {"mode": modes[value]}
        return _with_mode(value)

    @field_validator("train")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return _compiling(patterns)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if problem := _contradiction(self):
            raise ValueError(problem)
        return self

    def adds_nothing_to(self, before: "Learning") -> bool:
        """Say whether no model can have a parameter that learns here and did not learn before."""
        if self == before or before == Learning() or self.mode == "head":
            return True
        plain = not (self.train or self.embeddings or before.train)
        both = self.last is not None and before.last is not None
        return plain and both and (self.last or 0) <= (before.last or 0)


class Stall(BaseModel):
    """When a phase has learned what it can; the run itself goes on."""

    model_config = SECTION

    metric: str = "loss"
    """Evaluated metric that must improve, such as loss, accuracy, macro_f1."""
    patience: int = Field(default=2, ge=1)
    """Evaluations of this phase in a row without improvement after which it ends."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smallest change that counts as an improvement."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether lower or higher is better; auto takes min for loss and max for the others."""
    max_epochs: int = Field(ge=1)
    """Epochs after which the phase ends even if the metric still improves."""

    @property
    def stopping(self) -> EarlyStopping:
        """The same rule without its cap."""
        return EarlyStopping.model_validate(self.model_dump(exclude={"max_epochs"}))


class PhasePlan(BaseModel):
    """One phase: what learns, and for how long."""

    model_config = SECTION

    learn: Learning
    """What learns: head, all, `{last: N}` blocks, or `{train: [regular expressions]}`."""
    epochs: int | None = Field(default=None, ge=1)
    """Epochs that the phase takes."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps that the phase takes."""
    until_stall: Stall | None = None
    """End the phase when a metric no longer improves."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if sum(value is not None for value in (self.epochs, self.steps, self.until_stall)) > 1:
            raise ValueError("epochs, steps and until_stall exclude each other. Keep one")
        return self

    @property
    def max_epochs(self) -> int | None:
        """Most epochs of the phase; None where it counts steps or takes the rest."""
        return self.until_stall.max_epochs if self.until_stall is not None else self.epochs


class Freezing(BaseModel):
    """Which parameters learn when; the others keep the bits of the base model."""

    model_config = SECTION

    mode: Literal["head", "partial", "full"] = "full"
    """`head`: only what is new; `partial`: the head and what is named below; `full`: everything."""
    last: int | None = Field(default=None, ge=1)
    """With `partial`: how many blocks learn, counted from the output."""
    train: tuple[str, ...] = ()
    """With `partial`: regular expressions; a parameter whose name one of them finds learns."""
    embeddings: bool | None = None
    """Whether the input embeddings learn; None means only with `full`."""
    schedule: tuple[PhasePlan, ...] = ()
    """Phases one after another; the last may leave its length out and takes the rest."""
    gradual: bool = False
    """Phases of an epoch each: the head, one more block from the top in each, then everything."""
    preset: Literal["ulmfit", "lp_ft", "bitfit", "norm_only"] | None = None
    """`ulmfit`: gradual, layer_decay 2.6, slanted triangular rates; `lp_ft`: the head for the first
    half of the epochs, then all; `bitfit`, `norm_only`: biases or norms, and the head."""
    lora: Lora | None = None
    """Adapters and the head learn beside frozen weights; None trains the weights themselves."""
    layer_decay: float | None = Field(default=None, gt=0)
    """Learning rate from a block to the one below: above 1 divides (2.6), below 1 multiplies."""
    head_learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate of the head; None takes the optimizer's."""
    prefix_cache: Literal["auto", "on", "off"] = "auto"
    """Whether what the frozen first blocks give for a row is computed once and kept on the node's
    disk; `auto` where it is exact, pays and fits."""
    prefix_cache_gib: float = Field(default=50.0, gt=0)
    """Most GiB that such recordings of all runs take on a node."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """Read `head`, `full`, `{last: 2}` and `{preset: ulmfit}` as what they stand for."""
        if isinstance(value, str):
            return {"mode": value}
        if isinstance(value, dict) and value.get("preset") == "ulmfit":
            return {"gradual": True, "layer_decay": ULMFIT_DECAY, **value}
        return _with_mode(value)

    @field_validator("train")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return _compiling(patterns)

    @field_validator("schedule")
    @classmethod
    def _phases_follow(cls, schedule: tuple[PhasePlan, ...]) -> tuple[PhasePlan, ...]:
        for number, phase in enumerate(schedule[:-1], start=1):
            if phase.epochs is None and phase.steps is None and phase.until_stall is None:
                raise ValueError(
                    f"phase {number} of {len(schedule)} has no length, and only the last one takes "
                    "what is left. Give it epochs, steps or until_stall"
                )
            if schedule[number].learn.adds_nothing_to(phase.learn):
                raise ValueError(
                    f"phase {number + 1} unfreezes nothing that phase {number} did not have. "
                    "Take it out, or name more in it"
                )
        if schedule and schedule[-1].until_stall is not None:
            raise ValueError(
                "the last phase ends with the run, not with until_stall. Use early_stopping"
            )
        open_end = bool(schedule) and schedule[-1].epochs is None and schedule[-1].steps is None
        if any(phase.until_stall for phase in schedule) and not open_end:
            raise ValueError(
                "a phase with until_stall may end early and leave epochs over. Leave the length "
                "of the last phase out, so that it takes them"
            )
        return schedule

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        problems = [problem] if (problem := _contradiction(self)) else []
        if self.preset == "ulmfit" and not self.gradual:
            problems.append("preset ulmfit is gradual. Leave gradual out, or the preset")
        preset = self.preset if self.preset != "ulmfit" else None
        ways = {
            "schedule": self.schedule,
            "gradual": self.gradual,
            "preset": preset,
            "lora": self.lora is not None,
        }
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            problems.append(f"{' and '.join(given)} both say what learns. Keep one")
        if given and (self.mode != "full" or self.last is not None or self.train):
            problems.append(f"{given[0]} says what learns. Leave mode, last and train out")
        alone = self.schedule or preset in ("bitfit", "norm_only") or self.lora is not None
        if self.embeddings is not None and alone:
            problems.append(f"{given[0]} says what learns. Leave embeddings out")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def learning(self) -> Learning:
        """What learns where there are no phases."""
        return Learning(
            mode=self.mode, last=self.last, train=self.train, embeddings=self.embeddings
        )

    def disagreements(self, epochs: int, *, has_validation: bool) -> list[str]:
        """Say what the epochs and the splits of the recipe do not allow, a sentence each."""
        problems = []
        if self.preset == "lp_ft" and epochs < 2:
            problems.append("freezing.preset lp_ft has two phases but epochs is 1. Use 2 or more")
        if any(phase.until_stall for phase in self.schedule) and not has_validation:
            problems.append(
                "freezing.schedule: until_stall needs data.validation. Give it, such as 10%"
            )
        lengths = [phase.max_epochs for phase in self.schedule]
        taken = sum(length or 0 for length in lengths)
        counted = all(length is not None for length in lengths[:-1])
        rest = bool(lengths) and lengths[-1] is None and self.schedule[-1].steps is None
        if self.schedule and (taken > epochs or (rest and taken == epochs)):
            left = f"take {taken} epochs" + (" and leave none to the last" if rest else "")
            problems.append(
                f"the phases of freezing.schedule {left} but epochs is {epochs}. "
                f"Use epochs {taken + rest} or shorter phases"
            )
        elif lengths and counted and lengths[-1] is not None and taken < epochs:
            problems.append(
                f"the phases of freezing.schedule take {taken} epochs but epochs is {epochs}. "
                "Leave the length of the last phase out, so that it takes the rest"
            )
        return problems


def lay_out_presets(value: Any) -> Any:
    """Lay what freezing.preset means for the learning rate over plain values of a recipe."""
    freezing = value.get("freezing") if isinstance(value, dict) else None
    if isinstance(freezing, dict) and freezing.get("preset") == "ulmfit":
        schedule = value.get("schedule", {})
        if isinstance(schedule, dict) and "name" not in schedule:
            slanted = {"name": "slanted_triangular", "per": "phase"}
            return {**value, "schedule": {**slanted, **schedule}}
    return value


def _with_mode(value: Any) -> Any:
    if isinstance(value, dict) and "mode" not in value and {"last", "train"} & set(value):
        return {"mode": "partial", **value}
    return value


def _compiling(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"{pattern!r} is not a regular expression: {error}. Correct it"
            ) from error
    return patterns


def _contradiction(asked: Learning | Freezing) -> str | None:
    """Say what does not go together in what is to learn."""
    named = asked.last is not None or bool(asked.train) or bool(asked.embeddings)
    if asked.mode == "partial" and not named:
        return "mode partial names nothing that learns. Give last, train or embeddings"
    if asked.mode != "partial" and (asked.last is not None or asked.train):
        return f"last and train need mode partial, found {asked.mode}. Leave mode out"
    if asked.mode == "head" and asked.embeddings:
        return "mode head trains only what is new. Use mode partial with embeddings"
    return None
