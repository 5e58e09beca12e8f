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

from configs.errors import TrainingError
from trainers.agreement import joined, reduced
from trainers.data.batches import Microbatch
from trainers.engine import Engine, feed
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
) -> StepResult:
    """Feed this rank's microbatches and move the weights once. Collective: every rank calls this.

    `seed` is the recipe's; dropout is drawn per (epoch, step, lane), so it does not depend on the
    number of ranks. Raises TrainingError on all ranks when the loss or the gradient is not finite,
    before the weights move where that can be known.
    """
    device = engine.handle.device
    scale = counts_scale(engine, counts)
    losses = []
    for index, microbatch in enumerate(microbatches):
        torch.manual_seed(derive_seed(seed, microbatch.epoch, microbatch.step, microbatch.lane))
        with _statistics_caught(engine, microbatch):
            outputs = feed(engine, microbatch.inputs, microbatch.recorded)
        loss = _training_loss(summed_loss, outputs, microbatch, device)
        engine.handle.backward(loss * scale)
        losses.append(loss.detach())
        if index < len(microbatches) - 1:
            engine.handle.step()
    total = joined(torch.stack(losses).double().sum().reshape(1))
    mean = total.item() / max(1, counts.targets)
    # All ranks see the same sum, so all of them raise, and no one waits in the step below.
    if not np.isfinite(mean):
        raise TrainingError(
            f"the loss is {mean} at this step on {_place(microbatches)}. Lower "
            "optimizer.learning_rate, or look at the rows of this step"
        )
    norm = _clip_on_stage_0(engine)
    engine.handle.step()
    if engine.statistics is not None:
        engine.statistics.settle()
    if norm is None:
        norm = float(engine.handle.get_global_grad_norm() or 0.0)
    return StepResult(counts=counts, loss=mean, grad_norm=norm)


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


def _clip_on_stage_0(engine: Engine) -> float | None:
    """Clip the reduced gradients where ZeRO does not; returns their norm before, None elsewhere."""
    if engine.stage:
        return None
    learning = [p for p in engine.model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(learning, engine.max_grad_norm).item()
    if not np.isfinite(norm):
        raise TrainingError(
            f"the gradient norm is {norm} at this step. Lower optimizer.learning_rate"
        )
    return norm


def _place(microbatches: Sequence[Microbatch]) -> str:
    first = microbatches[0]
    return f"epoch {first.epoch}, step {first.step} of the epoch"
