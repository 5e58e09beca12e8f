"""End a run: evaluate with the best weights, export them, prove the exported folder."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_fp32_param

from configs.errors import THAW_ERRORS, TrainingError
from configs.records import Ended, Exported
from configs.shown_metrics import first_metrics
from trainers import storage
from trainers.adapter_export import ADAPTER_FOLDER, adapter_difference, merge_rounding
from trainers.data.epoch_plan import plan_epochs, planned_steps
from trainers.engine import gathered, placed
from trainers.evaluation import evaluate_and_report, evaluate_split, told
from trainers.export import check_export, save_export
from trainers.export_folder import FOLDER, How, put, workshop, write_mark
from trainers.heartbeat import beat, unhurried
from trainers.manifest import Cursor
from trainers.model_card import Origin
from trainers.quantization import whole_weight
from trainers.session import Session
from trainers.tasks.equal_lengths import KEY
from trainers.tasks.pooling import CONFIG_KEY

CHECKED_ROWS = 4
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def finish(session: Session) -> Ended:
    """Evaluate the test split with the best weights and export them.

    Collective: every rank calls this. Raises TrainingError when the exported folder, loaded again,
    does not give the live model's logits.
    """
    session.make_whole()
    cursor = session.load_best()
    splits = session.manifest.splits
    _tell_of_no_best(session)
    evaluation = None
    if "test" in splits:
        evaluation = evaluate_and_report(session, "test", cursor=cursor)
    elif "validation" in splits:
        evaluation = evaluate_split(session, "validation")
    metrics = evaluation.metrics if evaluation is not None else {}
    export_model(session, Target(storage.join(session.place.run_dir, FOLDER), cursor), metrics)
    if session.tracker is not None:
        session.tracker.finished(metrics)
    split = "test" if "test" in splits else "validation"
    reached = ", ".join(
        f"{name} {metrics[name]:.4f}"
        for name in first_metrics(metrics)
        if name != "loss" and not math.isnan(metrics[name])
    )
    return Ended(
        time=time.time(),
        state="succeeded",
        exit_code=0,
        error=None,
        message=f"{split} {reached}" if reached else f"trained {session.cursor.step} steps",
        step=session.cursor.step,
        metrics=told(metrics),
        rows=evaluation.rows if evaluation is not None else 0,
    )


def _tell_of_no_best(session: Session) -> None:
    """Say that the metric which was to choose the weights was never defined."""
    asked, known = session.recipe.best_metric, session.cursor.best
    judged = session.cursor.best_metric is not None
    if asked is not None and known.value is None and judged:
        session.note(
            f"{asked} was undefined at every evaluation of validation: nothing was the best by it, "
            "and these are the last weights. Choose another metric, or more rows for validation",
            "warning",
        )


@dataclass(frozen=True)
class Target:
    """Where an export goes."""

    address: str
    cursor: Cursor
    """Where training stood with its weights."""
    how: How = "own"
    """What may be there already."""


def export_model(session: Session, target: Target, metrics: dict[str, float]) -> Exported:
    """Write the live weights as a Hugging Face folder and prove it.

    Collective: every rank calls this. The folder appears in its place only after it has been loaded
    again and given the same logits. Raises LockedError where something of somebody else is there.
    """
    state = gather_weights(session)
    fed = _live_logits(session)
    # Every rank hashes, before rank 0 goes off alone.
    unchanged = session.live.frozen_unchanged()
    problem: list[Exception | None] = [None]
    done: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    if session.leads:
        try:
            origin = _origin(session, metrics)
            with unhurried():
                done = [_write_and_check(session, target, state, fed, origin)]
        except THAW_ERRORS as error:
            problem = [error]
    dist.broadcast_object_list(problem, src=0)
    dist.broadcast_object_list(done, src=0)
    if problem[0] is not None:
        raise problem[0]
    difference, kept = done[0]
    for name in kept:
        session.note(f"what stood in the way of the export is kept as {target.address}/{name}")
    record = Exported(
        time=time.time(),
        path=target.address,
        step=target.cursor.step,
        max_difference=difference,
        frozen_unchanged=unchanged,
        **_standing(session, target.cursor),
    )
    session.report(record)
    if not unchanged:
        raise TrainingError(
            "a frozen weight changed during training, which must never be. Report this as a defect"
        )
    return record


def _origin(session: Session, metrics: dict[str, float]) -> Origin:
    pooling = getattr(session.model.config, CONFIG_KEY, None)
    manifest = session.manifest
    if session.cursor.equal_lengths:
        manifest = manifest.model_copy(update={"numbers": manifest.numbers | {KEY: 1}})
    return Origin(session.recipe, manifest, metrics, pooling)


def _standing(session: Session, cursor: Cursor) -> dict[str, Any]:
    """Return after which of how many epochs the weights were so, and what they are the best by."""
    recipe = session.recipe
    epochs = plan_epochs(recipe, session.manifest)
    total = planned_steps(recipe, epochs)
    steps_per_epoch = max(1, epochs.lanes.steps_per_epoch)
    is_best = cursor.best.is_at(cursor.step) and not recipe.exports_last
    return {
        "epoch": cursor.step / steps_per_epoch,
        "epochs": total / steps_per_epoch,
        "holds_code": recipe.model.pooling != "own",
        "best_metric": (cursor.best_metric or recipe.best_metric) if is_best else None,
    }


def gather_weights(session: Session) -> dict[str, torch.Tensor]:
    """Collect whole weights on rank 0, in fp32 where the run has them or adapters are merged.

    Collective: every rank calls this. Other ranks get an empty dict. Under ZeRO-3 one parameter at
    a time is whole.
    """
    stage, leads = session.engine.stage, session.leads
    merges = session.recipe.freezing.lora is not None
    dtype = DTYPES["float32" if merges else session.recipe.model.dtype or "float32"]
    state = {}
    half = session.recipe.precision != "fp32"
    for name, parameter in session.model.named_parameters(remove_duplicate=False):
        beat()
        if half and parameter.requires_grad:
            whole = safe_get_full_fp32_param(parameter)
            if leads:
                state[name] = whole.detach().to("cpu", dtype)
            continue
        with gathered(stage, parameter):
            if leads:
                state[name] = whole_weight(parameter).to("cpu", dtype, copy=True)
    if leads:
        persistent = session.model.state_dict().keys() - state.keys()
        buffers = dict(session.model.named_buffers())
        state |= {n: buffers[n].detach().cpu().clone() for n in persistent if n in buffers}
        if session.live.statistics is not None:
            # In fp32 the run's own, which half precision has rounded in the model.
            kept = session.live.statistics.buffers()
            state |= {n: t.to(dtype) if t.is_floating_point() else t for n, t in kept.items()}
    return state


def _live_logits(session: Session) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Feed the same few rows to the live model on every rank, which ZeRO-3 needs."""
    name = next(s for s in ("test", "validation", "train") if s in session.manifest.splits)
    split = session.open_split(name)
    rows = split.read(np.arange(min(CHECKED_ROWS, split.info.rows)))
    inputs, _ = session.collate()(rows)
    engine = session.engine.handle
    engine.eval()
    with torch.no_grad():
        outputs: Any = engine(**placed(session.engine, inputs))
    session.live.train()
    return inputs, session.task.output_of(outputs).detach().float().cpu()


def _write_and_check(
    session: Session,
    target: Target,
    state: dict[str, torch.Tensor],
    fed: tuple[dict[str, torch.Tensor], torch.Tensor],
    origin: Origin,
) -> tuple[float, tuple[str, ...]]:
    """Write the folder, compare it, put it in its place; gives the difference and what is kept."""
    with workshop(target.address) as temporary:
        folder = temporary / FOLDER
        difference = _write_and_compare(session, folder, state, fed, origin)
        write_mark(folder, session.recipe.name, target.cursor.step)
        kept = put(folder, target.address, session.place.run_dir, target.how)
    return difference, kept


def _write_and_compare(
    session: Session,
    folder: Path,
    state: dict[str, torch.Tensor],
    fed: tuple[dict[str, torch.Tensor], torch.Tensor],
    origin: Origin,
) -> float:
    """Write a local folder and compare it with what the live model gave."""
    inputs, logits = fed
    save_export(folder, state, session.model, session.processor(), origin)
    differences = [check_export(folder, inputs, logits)]
    if session.recipe.freezing.lora is not None:
        saved = folder / ADAPTER_FOLDER
        differences += [
            adapter_difference(saved, state, session.model, fed, session.task.output_of)
        ]
    difference = float(np.max(differences))  # NaN where one is NaN
    allowed = _tolerance(session) * max(1.0, logits.abs().max().item())
    if not difference <= allowed:
        raise TrainingError(
            f"the exported model's logits differ from the live model's by {difference:.2g}. "
            "The commits of the run are whole: report this as a defect"
        )
    return difference


def _tolerance(session: Session) -> float:
    """Give what a logit of size 1 may differ by: in fp32 what adding in another order changes."""
    dtype, precision = session.recipe.model.dtype, session.recipe.precision
    if precision != "fp32" or dtype not in (None, "float32"):
        return 5e-2  # half precision rounds each of some hundred operations to 8 bits
    return 1e-5 + merge_rounding(session.model)
