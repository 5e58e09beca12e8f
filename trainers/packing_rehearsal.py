"""Find out on real rows whether those that are packed behind one another see each other.

Other rehearsals stand in rehearsal.py and padding_rehearsal.py.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.errors import RecipeError
from trainers.agreement import all_agree
from trainers.engine import feed
from trainers.prefix_probe import FORWARD_ERRORS, LOOKED_AT, evaluating
from trainers.tasks.model_config import first_line

if TYPE_CHECKING:
    from trainers.session import Session

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

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
    few = np.arange(count)
    path = session.recipe.model.path
    advice = "Use batch.packing false, or another model"
    with evaluating(session):
        apart = _loss(session, few, packing=False)
        try:
            packed = _loss(session, few, packing=True)
            _loss(session, _widest(session), packing=True)
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


def _loss(session: "Session", numbers: Numbers, *, packing: bool) -> float:
    """Give the mean loss over the targets of some rows."""
    rows = session.open_split("train").read(numbers)
    inputs, labels = session.collate(packing=packing)(rows)
    outputs = feed(session.engine, inputs)
    labels = labels.to(session.engine.handle.device)
    total = session.task.summed_loss(outputs, labels).item()
    return total / max(1, int((labels >= 0).sum()))


def _widest(session: "Session") -> Numbers:
    """Choose rows that are as many tokens as a microbatch of the run may pack, and no more.

    Some models read no sequence longer than their positions, wherever its rows begin (GPT-Neo). The
    first rows are laid behind one another, again and again, until it is long enough.
    """
    split = session.open_split("train")
    most = session.recipe.batch.microbatch_tokens or most_tokens(
        split.info.lengths, session.recipe.batch.microbatch_size
    )
    lengths = split.lengths(0, min(LOOKED_AT, split.info.rows)).astype(np.int64)
    rounds = 1 + most // int(lengths.sum())
    reached = np.cumsum(np.tile(lengths, rounds))
    return np.tile(np.arange(len(lengths)), rounds)[: max(1, int((reached <= most).sum()))]


def most_tokens(lengths: Mapping[int, int], rows: int) -> int:
    """Give the tokens of the longest rows, so many of them, of a split's rows by length."""
    tokens = 0
    for length in sorted(lengths, reverse=True):
        taken = min(rows, lengths[length])
        tokens, rows = tokens + taken * length, rows - taken
    return tokens
