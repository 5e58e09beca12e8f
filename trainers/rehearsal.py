"""Feed a few rows before anything trains, and try a person's own loss and metrics on them.

What they are called with later stands in step.py and own_metrics.py.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.errors import RecipeError
from configs.task_sections import writes_in_evaluation
from trainers.agreement import all_agree
from trainers.data.batches import fed_width
from trainers.data.store import SplitName
from trainers.engine import feed
from trainers.memory import is_shortage, shortage
from trainers.own_code import LOSS
from trainers.own_metrics import OwnMetrics
from trainers.packing_rehearsal import refuse_leaks
from trainers.step import SummedLoss
from trainers.tasks.judging import IGNORED, Fed, is_target

if TYPE_CHECKING:
    from trainers.session import Session

LOOK_ROWS = 4
LOSS_ROWS = 2
METRIC_ROWS = 16
SAME = 1e-4
"""Two sums that differ by less, relative to their size, are the same."""


def rehearsed(session: "Session", summed_loss: SummedLoss) -> SummedLoss:
    """Give the loss, once it and the metrics of the recipe's own have been called.

    Raises RecipeError on all ranks for what they must not do. Collective: every rank calls this.
    """
    refuse_leaks(session)
    if session.recipe.loss.function is not None:
        _rehearse_loss(session, session.recipe.loss.function, summed_loss)
    if session.recipe.task.metric:
        _rehearse_metrics(session)
    return summed_loss


def first_losses(session: "Session") -> Iterator[torch.Tensor]:
    """Yield the losses of the first rows, as many at once as a step feeds.

    Raises what `first_loss` does, and TrainingError where memory runs out. Collective.
    """
    recipe, place = session.recipe, session.place
    at_once = max(1, recipe.batch.microbatch_size // recipe.faults.feed_parts)
    numbers = _first(session, "train", LOOK_ROWS)
    for start in range(0, len(numbers), at_once):
        try:
            loss = first_loss(session, numbers[start : start + at_once])
        except (RuntimeError, MemoryError, OSError) as error:
            if is_shortage(error):
                raise shortage(error, session.engine, place.rank, place.world_size) from error
            raise
        yield loss


def first_loss(session: "Session", numbers: list[int]) -> torch.Tensor:
    """Give the loss of some rows, with the graph that it comes from.

    A row whose loss is not finite is left out: `faults` says what becomes of it in training. Raises
    RecipeError where no row has a finite one, or where the head does not give one number for each
    label. Collective: every rank calls this, with the whole model in its engine.
    """
    names, path = session.manifest.label_names, session.recipe.model.path
    fed = feed_rows(session, "train", numbers)
    found = session.task.output_of(fed.outputs)
    if names and found.shape[-1] != len(names):
        raise RecipeError(
            f"model.path ({path}) gives {found.shape[-1]} numbers a row for {len(names)} labels, "
            "whatever its config says. Choose another model"
        )
    loss = _finite_loss(session.task.summed_loss, fed)
    if not all_agree(bool(loss.isfinite())):
        raise RecipeError(
            f"model.path ({path}) gives a loss of {loss.item():g} for the first rows. Look at its "
            f"weights, or use another precision than {session.recipe.precision}"
        )
    return loss


def _finite_loss(summed_loss: SummedLoss, fed: Fed) -> torch.Tensor:
    """Give the loss of all rows, or of those that have a finite one; not finite where none has."""
    loss = summed_loss(fed.outputs, fed.labels)
    if bool(loss.isfinite()):
        return loss
    rows = (only_row(fed.labels, row) for row in range(len(fed.labels)))
    alone = [each for labels in rows if (each := summed_loss(fed.outputs, labels)).isfinite()]
    return torch.stack(alone).sum() if alone else loss


def feed_rows(session: "Session", split: SplitName, numbers: list[int]) -> Fed:
    """Feed some rows of a split, the same on every rank. Collective: every rank calls this.

    Where a prefix is taken out of the model, an empty recording stands for what it gives.
    """
    inputs, labels = session.collate()(session.open_split(split).read(np.array(numbers)))
    outputs = feed(session.engine, inputs, session.blank(fed_width(inputs), len(labels)))
    every = torch.ones(len(labels), dtype=torch.bool)
    return Fed(inputs, labels.to(session.engine.handle.device), outputs, every)


def _rehearse_loss(session: "Session", path: str, summed_loss: SummedLoss) -> None:
    few = _first(session, "train", LOSS_ROWS)
    session.engine.handle.eval()
    with torch.no_grad():
        once, twice = (feed_rows(session, "train", numbers) for numbers in (few, few * 2))
    session.live.train()
    given = _checked_loss(path, summed_loss, once, "rows")
    nothing = _checked_loss(path, summed_loss, _without_targets(once), "rows without targets")
    if nothing:
        raise RecipeError(
            f"{LOSS} ({path}) gave {nothing:g} for rows without targets, where the sum is 0. "
            f"Leave out labels of {IGNORED}, or NaN"
        )
    doubled = _checked_loss(path, summed_loss, twice, "rows")
    if given and abs(doubled - given) <= SAME * abs(given):
        raise RecipeError(
            f"{LOSS} ({path}) gave {given:g} for {len(few)} rows and the same for twice as many: "
            "it is a mean. Return the sum over the targets"
        )


def only_row(labels: torch.Tensor, row: int | None) -> torch.Tensor:
    """Leave the targets of one row alone, or of none; labels are (rows, ...)."""
    nothing = torch.nan if labels.is_floating_point() else IGNORED
    left = torch.full_like(labels, nothing)
    if row is not None:
        left[row] = labels[row]
    return left


def _without_targets(fed: Fed) -> Fed:
    return Fed(fed.inputs, only_row(fed.labels, None), fed.outputs)


def _checked_loss(path: str, summed_loss: SummedLoss, fed: Fed, what: str) -> float:
    """Give the loss; raises RecipeError where it, or its gradient by the outputs, is of no use."""
    outputs = fed.outputs if isinstance(fed.outputs, Mapping) else vars(fed.outputs)
    parts = [each for each in outputs.values() if torch.is_tensor(each)]
    leaves = [each.requires_grad_() for each in parts if each.is_floating_point()]
    with torch.enable_grad():
        loss = summed_loss(fed.outputs, fed.labels)
    if not loss.requires_grad:
        raise RecipeError(
            f"{LOSS} ({path}) gave a loss without gradient. Compute it from the outputs by "
            "operations of torch, without detach or item"
        )
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    gradients = [each for each in found if each is not None]
    if not all(bool(each.isfinite().all()) for each in (loss, *gradients)):
        raise RecipeError(
            f"{LOSS} ({path}) gave a loss of {loss.item():g}, or a gradient that is not finite, "
            f"for {what}. Sum over the targets alone: labels of {IGNORED}, or NaN, are none"
        )
    return loss.item()


def _rehearse_metrics(session: "Session") -> None:
    split: SplitName = "validation" if "validation" in session.manifest.splits else "test"
    few = _first(session, split, METRIC_ROWS)
    session.engine.handle.eval()
    with torch.no_grad():
        fed = feed_rows(session, split, few)
        if not writes_in_evaluation(session.recipe.task):
            fed = Fed(fed.inputs, fed.labels, fed.outputs)
        setting = session.setting()
        answer = session.task.answer(setting, fed)
    session.live.train()
    counted = is_target(fed.labels).reshape(len(fed.labels), -1).any(1)
    scores = session.task.build_scores(setting)
    scores.update(answer, counted)
    taken = ["loss", *scores.compute().metrics]
    own = OwnMetrics(session.recipe.task.metric)
    if session.leads:
        compared = session.task.compared(setting, answer)
        own.update(compared, counted, np.array(few), np.zeros(len(few)))
    own.compute({}, taken)


def _first(session: "Session", split: SplitName, most: int) -> list[int]:
    """Give the numbers of the first rows of a split."""
    return list(range(min(most, session.manifest.splits[split].rows)))
