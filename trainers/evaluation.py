"""Evaluate a split: every row once, at any number of ranks; what the numbers mean is the task's."""

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

from configs.errors import RecipeError, TrainingError
from configs.records import Evaluated
from trainers.data.batches import Microbatch, read_steps
from trainers.data.epoch_plan import plan_epochs
from trainers.data.lane_rows import open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.store import SplitInfo, SplitName
from trainers.session import Session

if TYPE_CHECKING:
    from trainers.metrics import Sample, Scored


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split showed; equal on all ranks, but rank 0 has the samples."""

    rows: int
    scored: "Scored"
    metrics: dict[str, float]
    """The task's metrics and `loss`, the mean over targets."""
    samples: "list[Sample]"


@dataclass
class _Sums:
    """What one rank has added up so far."""

    loss: float = 0.0
    targets: int = 0
    rows: int = 0
    id_sum: int = 0
    samples: "list[Sample]" = field(default_factory=list)


def evaluate_split(session: Session, split: SplitName) -> Evaluation:
    """Run the model over a split in evaluation mode. Collective: every rank calls this.

    Lanes give every rank the same number of forward passes, which ZeRO-3 needs; a lane that has run
    out feeds a row of weight 0. Raises TrainingError when not every row was seen exactly once.
    """
    manifest, place, batch = session.manifest, session.place, session.recipe.batch
    info = manifest.splits[split]
    plan = LanePlan(info.rows, batch.lanes, batch.eval_microbatch_size, seed=0, shuffle=False)
    rows = session.open_split(split)
    stream = read_steps(
        open_lanes(rows, plan, place.rank, place.world_size),
        plan,
        session.task.collate(manifest, session.recipe.pad_to_multiple_of),
        epoch=0,
    )
    scores = session.task.build_scores(manifest.label_names, session.engine.handle.device)
    sums = _Sums()
    session.engine.handle.eval()
    with closing(stream), torch.no_grad():
        for microbatches in stream:
            for microbatch in microbatches:
                outputs, labels = _feed(session, microbatch, sums)
                scores.update(outputs, labels)
    session.engine.handle.train()
    loss = _reduce(sums, split, info)
    scored = scores.compute()
    return Evaluation(info.rows, scored, {"loss": loss, **scored.metrics}, sums.samples)


def evaluate_and_report(session: Session, split: SplitName) -> Evaluation:
    """Evaluate a split and report it without taking it for the best. Collective."""
    evaluation = evaluate_split(session, split)
    report_evaluation(session, evaluation, split, is_best=False)
    return evaluation


def report_evaluation(
    session: Session, evaluation: Evaluation, split: SplitName, *, is_best: bool
) -> None:
    """Write an evaluation down, its pictures and samples too."""
    cursor = session.cursor
    steps_per_epoch = plan_epochs(session.recipe, session.manifest).lanes.steps_per_epoch
    record = Evaluated(
        time=time.time(),
        step=cursor.step,
        epoch=cursor.epoch + cursor.step_in_epoch / max(1, steps_per_epoch),
        split=split,
        rows=evaluation.rows,
        metrics=evaluation.metrics,
        per_class=evaluation.scored.per_class,
        best=is_best,
    )
    session.report(record)
    if session.tracker is not None:
        session.tracker.evaluated(record, evaluation.scored, evaluation.samples)


def metric_value(metrics: dict[str, float], metric: str) -> float:
    """Find a metric by name; raises RecipeError with the names there are."""
    if metric not in metrics:
        raise RecipeError(
            f"{metric!r} is no evaluated metric. Use one of {', '.join(sorted(metrics))}"
        )
    return metrics[metric]


def _feed(session: Session, microbatch: Microbatch, sums: _Sums) -> tuple[object, torch.Tensor]:
    """Feed one microbatch and add up what it gives; returns outputs and labels on the device."""
    device = session.engine.handle.device
    inputs = {name: t.to(device) for name, t in microbatch.inputs.items()}
    labels = microbatch.labels.to(device)
    outputs = session.engine.handle(**inputs)
    sums.loss += session.task.summed_loss(outputs, labels).double().item()
    sums.targets += microbatch.num_targets
    sums.rows += microbatch.num_rows
    if microbatch.num_rows:
        sums.id_sum += int(microbatch.row_ids.sum(dtype=np.uint64))
    missing = session.recipe.tracking.sample_predictions - len(sums.samples)
    if session.leads and missing > 0 and microbatch.num_rows:
        sums.samples += session.task.sample_predictions(
            session.tokenizer(), session.manifest.label_names, inputs, outputs, labels
        )[:missing]
    return outputs, labels


def _reduce(sums: _Sums, split: str, info: SplitInfo) -> float:
    """Add up over all ranks, check that every row was seen once; returns the loss per target."""
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    loss = torch.tensor([sums.loss], dtype=torch.float64, device=device)
    dist.all_reduce(loss)
    # Sums of int64 wrap at 2^64, which is just the modulus of the ledger.
    id_sum = int(np.uint64(sums.id_sum % 2**64).astype(np.int64))
    counts = torch.tensor([sums.targets, sums.rows, id_sum], device=device)
    dist.all_reduce(counts)
    targets, rows, ids = counts.tolist()
    if (rows, ids % 2**64) != (info.rows, int(info.id_sum, 16)):
        raise TrainingError(
            f"evaluation of {split} saw {rows} rows of {info.rows}, or not the same ones. "
            "Prepare the data again: its shards do not hold what its manifest says"
        )
    return float(loss.item() / max(1, targets))
