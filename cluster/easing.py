"""Ask less memory of the workers after it ran out; who tries again is finetuning.py.

What is asked changes no number but dropout's: the same rows in the same order, fed in smaller
parts, or activations that are computed twice.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from configs.schema import Recipe

if TYPE_CHECKING:
    from cluster.failures import Failure

MOST_PARTS = 8
PARTS, TWICE = "faults.feed_parts", "activation_checkpointing"
"""Keys of the recipe that are changed here."""
Changes = dict[str, int]


def ease(recipe: Recipe) -> Changes:
    """Say what to change when memory ran out; nothing when all is tried.

    Microbatches are fed in twice as many parts. Where their rows belong together (the texts of an
    embedding are told apart from each other), activations are computed twice instead.
    """
    if recipe.task.kind == "sentence_embedding":
        return {} if recipe.activation_checkpointing else {TWICE: 1}
    parts = 2 * recipe.faults.feed_parts
    return {} if parts > MOST_PARTS or _is_one_row(recipe) else {PARTS: parts}


def eased(recipe: Recipe, changes: Changes) -> Recipe:
    """Give the recipe with what was changed before, unless it asks for more by itself."""
    parts = max(changes.get(PARTS, 1), recipe.faults.feed_parts)
    return recipe.model_copy(
        update={
            "faults": recipe.faults.model_copy(update={"feed_parts": parts}),
            TWICE: bool(changes.get(TWICE)) or recipe.activation_checkpointing,
        }
    )


def after_shortage(recipe: Recipe, failure: "Failure") -> "tuple[Changes, Failure]":
    """Judge a failure for want of memory: what to change, and whether to try again.

    The message of a failure that is final has the estimate of what a rank needs.
    """
    changes = ease(recipe)
    if TWICE in changes:
        text = "Activations are computed again in the backward pass from now on"
    elif changes:
        text = f"Each microbatch is fed in {changes[PARTS]} parts from now on: same rows, same loss"
    elif _is_one_row(recipe):
        return {}, replace(failure, message=f"One row does not fit: {failure.message}")
    else:
        return {}, failure
    return changes, replace(failure, final=False, message=f"{failure.message}. {text}")


def _is_one_row(recipe: Recipe) -> bool:
    """Say whether a microbatch is fed row by row."""
    batch = recipe.batch
    return batch.microbatch_tokens is None and recipe.faults.feed_parts >= batch.microbatch_size
