"""Evaluate a split: every row once, at any number of ranks; what the numbers mean is the task's."""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.errors import RecipeError, TrainingError
from configs.records import Evaluated
from trainers.agreement import joined, reduced
from trainers.data.batches import Microbatch, StepReader, read_steps
from trainers.data.epoch_plan import plan_epochs
from trainers.data.lane_rows import open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.store import Manifest, SplitInfo, SplitName
from trainers.engine import feed
from trainers.manifest import Cursor
from trainers.own_metrics import OwnMetrics
from trainers.sample_choice import MOST_LOOKED_AT, chosen
from trainers.session import Session
from trainers.tasks.generation import rows_to_write
from trainers.tasks.judging import Fed, Sample, Scored, is_target

if TYPE_CHECKING:
    from trainers.tasks.judging import Scores


EVERY = -1
"""Stands for the rows of all sources."""


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split showed; equal on all ranks, but rank 0 has the samples."""

    rows: int
    scored: Scored
    metrics: dict[str, float]
    """The task's metrics and `loss`, the mean over targets; `metric/source` where there are several
    sources. NaN for one that is undefined over these rows."""
    samples: list[Sample]


@dataclass(frozen=True)
class Elsewhere:
    """Test rows of another prepared set than the run's, with the run's labels."""

    data_dir: str
    manifest: Manifest
    shown: str
    """What the rows are called where they are told of."""


@dataclass
class _Sums:
    """What one rank has added up so far."""

    loss: float = 0.0
    targets: int = 0
    rows: int = 0
    id_sum: int = 0
    samples: list[Sample] = field(default_factory=list)
    looked_at: int = 0
    """Microbatches whose rows are among the samples."""


def evaluate_split(
    session: Session, split: SplitName, elsewhere: Elsewhere | None = None
) -> Evaluation:
    """Run the model over a split in evaluation mode. Collective: every rank calls this.

    Lanes give every rank the same number of forward passes, which ZeRO-3 needs; a lane that has run
    out feeds a row of weight 0. Raises TrainingError when not every row was seen exactly once.
    """
    manifest = session.manifest if elsewhere is None else elsewhere.manifest
    info = manifest.splits[split]
    stream = _read(session, split, info, elsewhere)
    scores, own = _build_scores(session, info), OwnMetrics(session.recipe.task.metric)
    sums = _Sums()
    session.engine.handle.eval()
    with closing(stream), torch.no_grad():
        for microbatches in stream:
            for microbatch in microbatches:
                answer, counted = _feed(session, microbatch, sums, info.rows)
                if session.recipe.task.metric:
                    compared = session.task.compared(session.setting(), answer)
                    own.update(compared, counted, microbatch.numbers, microbatch.sources)
                for source, state in scores.items():
                    state.update(answer, counted & _of_source(counted, microbatch, source))
    session.live.train()
    loss = _reduce(session, sums, split, info)
    # Every rank goes through the same sources in the same order.
    found = {source: state.compute() for source, state in scores.items()}
    metrics = {"loss": loss, **found[EVERY].metrics}
    names = {source: manifest.sources[source] for source in found if source != EVERY}
    own_metrics = own.compute(names, list(metrics))
    for source, name in names.items():
        metrics |= {f"{key}/{name}": value for key, value in found[source].metrics.items()}
    samples = chosen(sums.samples, session.recipe.tracking.sample_predictions)
    return Evaluation(info.rows, found[EVERY], metrics | own_metrics, samples)


def _read(
    session: Session, split: SplitName, info: SplitInfo, elsewhere: Elsewhere | None
) -> StepReader:
    """Read the rows of a split in their order, each once."""
    place, batch = session.place, session.recipe.batch
    size = max(1, batch.eval_microbatch_size // session.recipe.faults.feed_parts)
    plan = LanePlan(info.rows, batch.lanes, size, seed=0, shuffle=False)
    if elsewhere is None:
        rows, recording = session.open_split(split), session.recordings(split)
    else:
        rows = session.open_split(split, elsewhere.data_dir, elsewhere.manifest)
        recording = None
    lanes = open_lanes(rows, plan, place.rank, place.world_size, recording=recording)
    return read_steps(lanes, plan, session.collate(), epoch=0)


def _build_scores(session: Session, info: SplitInfo) -> "dict[int, Scores]":
    """Make the state for all rows and, where a split has rows of several sources, for each."""
    there = [place for place, rows in enumerate(info.source_counts) if rows]
    places = [EVERY, *(there if len(there) > 1 else ())]
    return {place: session.task.build_scores(session.setting()) for place in places}


def _of_source(counted: torch.Tensor, microbatch: Microbatch, source: int) -> torch.Tensor:
    """Say which rows are of a source."""
    if source == EVERY or not microbatch.num_rows:
        return torch.ones_like(counted)
    return torch.from_numpy(microbatch.sources == source).to(counted.device)


def evaluate_and_report(
    session: Session,
    split: SplitName,
    elsewhere: Elsewhere | None = None,
    cursor: Cursor | None = None,
) -> Evaluation:
    """Evaluate a split and report it without taking it for the best. Collective.

    `cursor` says where training stood with the weights; None where it stands.
    """
    evaluation = evaluate_split(session, split, elsewhere)
    shown = split if elsewhere is None else elsewhere.shown
    report_evaluation(session, evaluation, shown, is_best=False, cursor=cursor)
    return evaluation


def report_evaluation(
    session: Session,
    evaluation: Evaluation,
    split: str,
    *,
    is_best: bool,
    cursor: Cursor | None = None,
) -> None:
    """Write an evaluation down, its pictures and samples too."""
    cursor = cursor if cursor is not None else session.cursor
    steps_per_epoch = plan_epochs(session.recipe, session.manifest).lanes.steps_per_epoch
    record = Evaluated(
        time=time.time(),
        step=cursor.step,
        epoch=cursor.epoch + cursor.step_in_epoch / max(1, steps_per_epoch),
        split=split,
        rows=evaluation.rows,
        metrics=told(evaluation.metrics),
        per_class=evaluation.scored.per_class,
        best=is_best,
    )
    session.report(record)
    for remark in evaluation.scored.remarks:
        session.note_once(f"{split}: {remark}")
    if session.tracker is not None:
        session.tracker.evaluated(record, evaluation.scored, evaluation.samples)


def told(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics as records hold them: None for one that is undefined."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}


def metric_value(metrics: dict[str, float], metric: str) -> float:
    """Find a metric by name; raises RecipeError with the names there are."""
    if metric not in metrics:
        raise RecipeError(
            f"{metric!r} is no evaluated metric. Use one of {', '.join(sorted(metrics))}"
        )
    return metrics[metric]


def _feed(
    session: Session, microbatch: Microbatch, sums: _Sums, split_rows: int
) -> tuple[object, torch.Tensor]:
    """Feed one microbatch and add up what it gives; returns the answer and which rows count."""
    device = session.engine.handle.device
    labels = microbatch.labels.to(device)
    outputs = feed(session.engine, microbatch.inputs, microbatch.recorded)
    written = rows_to_write(session.recipe.task, microbatch.numbers, split_rows)
    fed = Fed(microbatch.inputs, labels, outputs, written)
    answer = session.task.answer(session.setting(), fed)
    sums.loss += session.task.summed_loss(outputs, labels).double().item()
    sums.targets += microbatch.num_targets
    sums.rows += microbatch.num_rows
    if microbatch.num_rows:
        sums.id_sum += int(microbatch.row_ids.sum(dtype=np.uint64))
    count = session.recipe.tracking.sample_predictions
    looks = sums.looked_at < MOST_LOOKED_AT
    if session.leads and count and looks and microbatch.num_rows:
        sums.looked_at += 1
        sums.samples += chosen(session.task.samples(session.setting(), fed, answer), count)
    return answer, is_target(labels).reshape(len(labels), -1).any(1)


def _reduce(session: Session, sums: _Sums, split: str, info: SplitInfo) -> float:
    """Add up over all ranks, check that every row was seen once; returns the loss per target."""
    device = session.engine.handle.device
    loss = joined(torch.tensor([sums.loss], dtype=torch.float64, device=device))
    # Sums of int64 wrap at 2^64, which is just the modulus of the ledger.
    id_sum = int(np.uint64(sums.id_sum % 2**64).astype(np.int64))
    targets, rows, ids = reduced([sums.targets, sums.rows, id_sum]).tolist()
    if (rows, ids % 2**64) != (info.rows, int(info.id_sum, 16)):
        raise TrainingError(
            f"evaluation of {split} saw {rows} rows of {info.rows}, or not the same ones. "
            "Prepare the data again: its shards do not hold what its manifest says"
        )
    return float(loss.item() / max(1, targets))
