"""Find out on real rows whether those that are packed behind one another see each other.

Other rehearsals stand in rehearsal.py and padding_rehearsal.py.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.errors import RecipeError
from trainers.agreement import all_agree
from trainers.engine import feed
from trainers.prefix_probe import FORWARD_ERRORS, evaluating
from trainers.tasks.model_config import first_line

if TYPE_CHECKING:
    from trainers.session import Session

ROWS = 3
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-3, "fp16": 5e-3}
"""Of the loss: what rounding may move it by."""


def refuse_leaks(session: "Session") -> None:
    """Raise RecipeError where packed rows have another loss than the same rows one by one.

    Models without position ids, with a state or without a mask let them see each other. Collective:
    every rank calls this.
    """
    if not session.recipe.batch.packing:
        return
    count = min(ROWS, session.manifest.splits["train"].rows)
    path = session.recipe.model.path
    advice = "Use batch.packing false, or another model"
    with evaluating(session):
        apart = _loss(session, count, packing=False)
        try:
            packed = _loss(session, count, packing=True)
        except torch.OutOfMemoryError:
            raise
        except FORWARD_ERRORS as error:
            raise RecipeError(
                f"batch.packing: model.path ({path}) cannot read rows that are packed behind one "
                f"another: {first_line(error)}. {advice}"
            ) from error
    most = TOLERANCE[session.recipe.precision] * max(abs(apart), 1e-6)
    if not all_agree(abs(packed - apart) <= most):
        raise RecipeError(
            f"batch.packing: packed behind one another, rows of {path} see each other: the "
            f"loss of the first {count} is {packed:.5f} packed and {apart:.5f} apart. {advice}"
        )


def _loss(session: "Session", count: int, *, packing: bool) -> float:
    """Give the mean loss over the targets of the first rows."""
    rows = session.open_split("train").read(np.arange(count))
    inputs, labels = session.collate(packing=packing)(rows)
    outputs = feed(session.engine, inputs)
    labels = labels.to(session.engine.handle.device)
    total = session.task.summed_loss(outputs, labels).item()
    return total / max(1, int((labels >= 0).sum()))
