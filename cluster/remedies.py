"""What to change in a recipe after a fault, as data; which fault asks for which is causes.py's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from configs.errors import RecipeError
from configs.load import change_recipe
from configs.schema import Recipe

Value = int | float | str | bool


@dataclass(frozen=True)
class Setting:
    """One key with its new value, given or worked out from the one it has."""

    key: str
    to: Value | None = None
    times: float = 1
    """Factor of the value it has; whole numbers stay whole and are at least 1."""
    plus: int = 0
    most: float = math.inf
    """Above this a value is taken for a slip, and the most is advised."""

    def value(self, recipe: Recipe) -> Value | None:
        """Give the new value; None where there is none, or it is the one that the recipe has."""
        held = _held(recipe, self.key)
        new: Value | None = self.to
        if new is None and isinstance(held, int) and not isinstance(held, bool):
            new = max(1, round(held * self.times)) + self.plus
        elif new is None and isinstance(held, float):
            new = float(f"{min(held * self.times + self.plus, self.most):.3g}")
        return None if new == held else new


@dataclass(frozen=True)
class Remedy:
    """Settings that go together, and what they do."""

    text: str
    settings: tuple[Setting, ...]
    task: str | None = None
    """Kind of task that it is for; None is for all."""


class Change(BaseModel):
    """A remedy worked out for one recipe."""

    model_config = ConfigDict(frozen=True)
    text: str
    settings: tuple[str, ...]
    """For `--set`: `key=value` each."""


def work_out(remedies: Sequence[Remedy], recipe: Recipe) -> tuple[Change, ...]:
    """Work out the remedies that a recipe can take; those that change nothing are left out."""
    found = []
    for remedy in remedies:
        values = {setting.key: setting.value(recipe) for setting in remedy.settings}
        if remedy.task not in (None, recipe.task.kind) or None in values.values():
            continue
        settings = tuple(f"{key}={_shown(value)}" for key, value in values.items())
        if can_take(recipe, settings):
            found.append(Change(text=remedy.text, settings=settings))
    return tuple(found)


def can_take(recipe: Recipe, settings: Sequence[str]) -> bool:
    """Say whether a recipe is still one with these settings."""
    try:
        change_recipe(recipe, settings)
    except RecipeError:
        return False
    return True


def _held(recipe: Recipe, key: str) -> object:
    held: object = recipe.model_dump(mode="json")
    for part in key.split("."):
        held = held.get(part) if isinstance(held, Mapping) else None
    return held


def _shown(value: Value | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


PATIENCE = Remedy("survives more losses", (Setting("cluster.max_failures", times=2, plus=1),))
SHARDED = Remedy("each worker holds only its share of the model", (Setting("zero.stage", 3),))
IN_PARTS = Remedy(
    "the same rows per step, fed in smaller parts", (Setting("faults.feed_parts", times=2),)
)
RECOMPUTED = Remedy(
    "activations are computed again, a third more time",
    (Setting("activation_checkpointing", to=True),),
)
SMALLER_EVALUATION = Remedy(
    "evaluation feeds fewer rows at once", (Setting("batch.eval_microbatch_size", times=0.5),)
)
SLOWER_LEARNING = Remedy(
    "a lower learning rate", (Setting("optimizer.learning_rate", times=0.1, most=0.01),)
)
SKIPPED = Remedy(
    "steps whose numbers cannot be used move nothing", (Setting("faults.on_nonfinite", to="skip"),)
)
MORE_TIME = Remedy(
    "waits longer before it calls it a hang", (Setting("faults.watchdog_s", times=3),)
)
FEWER_COMMITS = Remedy("keeps one commit and the best", (Setting("checkpoint.keep_last", to=1),))
MORE_PATIENT_STORAGE = Remedy(
    "waits longer for the storage", (Setting("checkpoint.deadline_s", times=3),)
)
FEWER_WORKERS = Remedy("asks for half the workers", (Setting("cluster.num_workers", times=0.5),))
