"""Name what fixes the numbers of a run, so that a resume continues just that run."""

from typing import Any

from configs.augmentation_sections import Augmentation
from configs.freezing_sections import Freezing
from configs.model_sections import Model, Schedule
from configs.schema import Recipe
from trainers.own_code import LOSS, MODEL, source_of_own

MOVES_NO_NUMBER = {"prefix_cache", "prefix_cache_gib"}
"""Of freezing: a run whose disk is full goes on without a recording."""
MODEL_KEYS = {"path", "revision", "dropout", "pooling"}
GROWN = {
    "model": {"pooling": Model.model_fields["pooling"].default},
    "augmentation": Augmentation().model_dump(mode="json"),
    "freezing": Freezing().model_dump(mode="json", exclude=MOVES_NO_NUMBER),
    "schedule": Schedule().model_dump(mode="json"),
}
"""Sections that got further keys; a commit without them was made with their defaults."""

ABSENT = {"batch.packing": False}
"""Keys that older commits lack, and what they did."""


def arithmetic(recipe: Recipe) -> dict[str, Any]:
    """Name what fixes the order of rows and the numbers; ranks, ZeRO stage and storage do not."""
    return {
        "seed": recipe.seed,
        "batch.lanes": recipe.batch.lanes,
        "batch.microbatch_size": recipe.batch.microbatch_size,
        "batch.microbatch_tokens": recipe.batch.microbatch_tokens,
        "batch.packing": recipe.batch.packing,
        "balance": recipe.balance.model_dump(mode="json"),
        "loss": recipe.loss.model_dump(mode="json", exclude={"function"}),
        **{key: _source(recipe, key) for key in (LOSS, MODEL)},
        "augmentation": recipe.augmentation.model_dump(mode="json"),
        "optimizer": recipe.optimizer.model_dump(mode="json"),
        "schedule": recipe.schedule.model_dump(mode="json"),
        "freezing": recipe.freezing.model_dump(mode="json", exclude=MOVES_NO_NUMBER),
        "precision": recipe.precision,
        "model": recipe.model.model_dump(mode="json", include=MODEL_KEYS),
    }


def _source(recipe: Recipe, key: str) -> str | None:
    """Name a person's own code with a hash of its source; None where there is none."""
    paths = recipe.own_code.get(key, ())
    return source_of_own(key, paths[0]) if paths else None


def changed_arithmetic(saved: dict[str, Any], recipe: Recipe) -> list[str]:
    """Name the values in which a commit's arithmetic differs from a recipe's."""
    changed = []
    for key, now in arithmetic(recipe).items():
        before = saved.get(key, ABSENT.get(key))
        if key in GROWN and isinstance(before, dict):
            before = {**GROWN[key], **before}
        if before != now:
            changed.append(key)
    return changed
