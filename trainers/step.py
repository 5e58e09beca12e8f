"""Take one optimizer step over one microbatch from every lane; which microbatches, others say.

The loss is summed over targets and scaled by lanes / targets of the global batch: DeepSpeed divides
by the number of lanes, so every target of the global batch weighs the same, whoever fed it.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from trainers.agreement import joined, rank_and_size, reduced
from trainers.data.batches import Microbatch
from trainers.data.parts import cut
from trainers.engine import Engine, feed, with_gradients
from trainers.seeds import derive_seed

# (outputs of the model, labels) -> loss summed over targets
SummedLoss = Callable[[Any, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Counts:
    """What one global batch holds, summed over all ranks, and what rank 0 asks of all."""

    targets: int
    rows: int
    tokens: int
    fed_tokens: int
    id_sum: int
    """Sum of row ids mod 2^64."""
    stop: bool
    """Whether training is to end after this step."""
    commit: bool
    """Whether a commit is due after this step."""
    failed: bool = False
    """Whether a rank could not write its part of the commit on its way."""


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did."""

    counts: Counts
    loss: float
    """Loss per target of the global batch."""
    grad_norm: float
    """Global L2 norm of the gradient before clipping."""
    moved: bool
    """Whether weights and moments moved."""
    trouble: "Trouble | None"
    """Why they must not; without it half precision has found its loss scale too large."""


@dataclass(frozen=True)
class Trouble:
    """Why the numbers of a step cannot be used; the same on all ranks."""

    what: str
    """What was found, such as `the loss is nan`."""
    is_of_lanes: bool
    """Whether it is known which lanes it came from; else all that had rows are named."""
    lanes: tuple[tuple[int, int, tuple[int, ...]], ...]
    """Lane, its rank, and the low halves of its row ids, in the order of the lanes."""

    @property
    def row_ids(self) -> tuple[int, ...]:
        """Give the low halves of all row ids in question."""
        return tuple(row for _, _, rows in self.lanes for row in rows)


def count_batch(
    microbatches: Sequence[Microbatch], *, stop: bool, commit: bool, failed: bool = False
) -> Counts:
    """Add up a global batch over all ranks. Collective: every rank calls this.

    `stop`, `commit` and `failed` hold for all ranks as soon as one says so.
    """
    ids = [int(m.row_ids.sum(dtype=np.uint64)) for m in microbatches if m.num_rows]
    local = [
        sum(m.num_targets for m in microbatches),
        sum(m.num_rows for m in microbatches),
        sum(m.num_tokens for m in microbatches),
        sum(m.num_fed_tokens for m in microbatches),
        # Sums of int64 wrap at 2^64, which is just the modulus of the ledger.
        int(np.uint64(sum(ids) % 2**64).astype(np.int64)),
        int(stop),
        int(commit),
        int(failed),
    ]
    targets, rows, tokens, fed, id_sum, *asked = reduced(local).tolist()
    return Counts(targets, rows, tokens, fed, id_sum % 2**64, *(count > 0 for count in asked))


def sum_ids(local: Iterable[int]) -> int:
    """Add up sums of row ids mod 2^64 over all ranks. Collective: every rank calls this."""
    wrapped = int(np.uint64(sum(local) % 2**64).astype(np.int64))
    total = reduced([wrapped])
    return int(total.item()) % 2**64


def take_step(
    engine: Engine,
    microbatches: Sequence[Microbatch],
    counts: Counts,
    summed_loss: SummedLoss,
    seed: int,
    *,
    most_loss: float = float("inf"),
) -> StepResult:
    """Feed this rank's microbatches and move the weights once. Collective: every rank calls this.

    Dropout is drawn per (`seed` of the recipe, epoch, step, lane, part), whatever the number of
    ranks. Nothing moves on any rank, and the result says why, when loss or gradient are not finite
    or the loss is above `most_loss`; nor in a step without rows.
    """
    scale = counts_scale(engine, counts)
    parts = [part for whole in microbatches for part in enumerate(cut(whole, engine.num_parts))]
    losses, mean, usable = [], 0.0, True
    for index, (number, part) in enumerate(parts):
        loss = _loss_of(engine, part, number, summed_loss, seed)
        losses.append(loss.detach())
        is_last = index == len(parts) - 1
        if is_last:
            total = joined(torch.stack(losses).double().sum().reshape(1))
            mean = total.item() / max(1, counts.targets)
            # All ranks see the same sum, so they agree. DeepSpeed drops the gradients of a step,
            # whatever the stage, when one of them is not finite: so it is made to see one.
            usable = bool(np.isfinite(mean)) and mean <= most_loss and counts.rows > 0
        engine.handle.backward(loss * (scale if usable else float("nan")))
        if not is_last:
            engine.handle.step()
    norm, moved = _move(engine)
    trouble = None
    if not usable and counts.rows:
        trouble = _trouble_of_loss(microbatches, losses, mean, most_loss)
    elif not moved and counts.rows and not engine.handle.fp16_enabled():
        trouble = Trouble(f"the gradient norm is {norm}", False, _gathered(microbatches))
    if engine.statistics is not None:
        engine.statistics.settle() if trouble is None else engine.statistics.forget()
    return StepResult(counts, mean, norm, moved, trouble)


def _loss_of(
    engine: Engine, part: Microbatch, number: int, summed_loss: SummedLoss, seed: int
) -> torch.Tensor:
    """Feed a part of a microbatch, by its number, and sum the loss over it."""
    place = (part.epoch, part.step, part.lane, *([number] if number else []))
    torch.manual_seed(derive_seed(seed, *place))
    with _statistics_caught(engine, part):
        outputs = feed(engine, part.inputs, part.recorded)
    return _training_loss(summed_loss, outputs, part, engine.handle.device)


def _move(engine: Engine) -> tuple[float, bool]:
    """Move the weights unless a gradient is not finite; returns the norm, and whether they moved.

    Collective: every rank calls this.
    """
    if engine.stage:
        engine.handle.step()
        norm = float(engine.handle.get_global_grad_norm() or 0.0)
        return norm, bool(engine.handle.was_step_applied())
    # Stage 0 has a plain optimizer, which leaves alone what has no gradient.
    learning = with_gradients(engine)
    norm = torch.nn.utils.clip_grad_norm_(learning, engine.max_grad_norm).item()
    moved = bool(np.isfinite(norm))
    if not moved:
        for parameter in learning:
            parameter.grad = None
    engine.handle.step()
    return norm, moved


def _trouble_of_loss(
    microbatches: Sequence[Microbatch],
    losses: Sequence[torch.Tensor],
    mean: float,
    most_loss: float,
) -> Trouble:
    """Find the lanes that a mean loss comes from which is not finite, or above the most.

    `losses` are those of the parts of the microbatches. Collective: every rank calls this.
    """
    of_lanes = torch.stack(list(losses)).view(len(microbatches), -1).sum(1).tolist()
    means = [
        loss / max(1, microbatch.num_targets)
        for loss, microbatch in zip(of_lanes, microbatches, strict=True)
    ]
    mine = [
        microbatch
        for microbatch, own in zip(microbatches, means, strict=True)
        if not (np.isfinite(own) and own <= most_loss)
    ]
    what = f"the loss is {mean:.6g}"
    if np.isfinite(mean):
        what += f", above {most_loss:.6g},"
    return Trouble(what, True, _gathered(mine))


def _gathered(mine: Sequence[Microbatch]) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    """Name microbatches of all ranks that have rows. Collective: every rank calls this."""
    rank, world_size = rank_and_size()
    named = [(m.lane, rank, tuple(m.row_ids.tolist())) for m in mine if m.num_rows]
    everyone: list[Any] = [named]
    if world_size > 1:
        everyone = [None] * world_size
        dist.all_gather_object(everyone, named)
    return tuple(sorted(lane for lanes in everyone for lane in lanes))


def _training_loss(
    summed_loss: SummedLoss, outputs: Any, microbatch: Microbatch, device: torch.device
) -> torch.Tensor:
    """Sum the loss over a microbatch, each row of which may have a share of two labels."""
    own = summed_loss(outputs, microbatch.labels.to(device))
    if microbatch.mixed is None:
        return own
    other = summed_loss(outputs, microbatch.mixed.labels.to(device))
    return microbatch.mixed.share * own + (1 - microbatch.mixed.share) * other


def counts_scale(engine: Engine, counts: Counts) -> float:
    """Give the factor of the summed loss; see the module's docstring."""
    lanes = engine.num_microbatches * dist.get_world_size()
    return lanes / max(1, counts.targets)


def _statistics_caught(engine: Engine, microbatch: Microbatch) -> AbstractContextManager[None]:
    """Catch the statistics of a forward pass, where the model has batch norms."""
    if engine.statistics is None:
        return nullcontext()
    return engine.statistics.caught(counts=microbatch.num_rows > 0)
