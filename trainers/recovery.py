"""Do what the recipe asks for when a step's numbers cannot be used; finding that out is step.py's.

A step that is in trouble has moved nothing: the run fails, goes on with the next step, or goes back
to its last commit and takes the steps since then again without the microbatches in question.
"""

import time
from typing import Any

import torch
import torch.distributed as dist

from configs.errors import TrainingError
from configs.records import Mishap
from trainers.agreement import all_agree
from trainers.data.batches import Microbatch
from trainers.engine import Engine
from trainers.mishaps import LeftOut, Mishaps
from trainers.partitions import own_values
from trainers.session import Session
from trainers.step import StepResult, Trouble

SHOWN_ROWS = 5


class RollBack(Exception):  # noqa: N818 - it is no error
    """The run is to go on from its last commit, with other mishaps than it has."""

    def __init__(self, known: Mishaps, new: tuple[LeftOut, ...], text: str) -> None:
        super().__init__(known, new, text)
        self.new, self.text = new, text
        self.changes = {
            "left_out": (*known.left_out, *new),
            "num_rollbacks": known.num_rollbacks + 1,
        }


def settle_step(session: Session, result: StepResult, microbatches: list[Microbatch]) -> None:
    """Take a step into account that the cursor stands behind. Collective: every rank calls this.

    Raises TrainingError where the run cannot go on, RollBack where it goes back.
    """
    cursor, faults = session.cursor, session.recipe.faults
    if result.trouble is None:
        after = cursor.mishaps.after(cursor.step, result.loss, faults, moved=result.moved)
        if after != cursor.mishaps:
            session.advance(mishaps=after)
        return
    trouble, epoch = result.trouble, microbatches[0].epoch
    step_in_epoch = microbatches[0].step
    where = f"step {cursor.step} (step {step_in_epoch + 1} of epoch {epoch + 1})"
    said = f"{trouble.what} at {where}{_rows_of(trouble)}"
    if faults.on_nonfinite == "fail" or cursor.mishaps.count >= faults.max_skipped:
        raise TrainingError(f"{said}. {_way_out(session, cursor.mishaps)}")
    if faults.on_nonfinite == "skip":
        mishaps = cursor.mishaps.model_copy(
            update={
                "unmoved": (*cursor.mishaps.unmoved, cursor.step),
                "num_skipped": cursor.mishaps.num_skipped + 1,
            }
        )
        session.advance(mishaps=mishaps)
        _report(session, "skipped", f"{said}: the step was skipped", trouble.row_ids)
        return
    outs = tuple(
        LeftOut(epoch=epoch, step=step_in_epoch, lane=lane, row_ids=rows)
        for lane, _, rows in trouble.lanes
    )
    raise RollBack(cursor.mishaps, outs, said)


def go_back(session: Session, back: RollBack) -> None:
    """Leave out in a session that was just opened what brought the run back to its commit."""
    session.advance(mishaps=session.cursor.mishaps.model_copy(update=back.changes))
    rows = tuple(row for out in back.new for row in out.row_ids)
    text = f"{back.text}: back to step {session.cursor.step}, these rows are left out there"
    _report(session, "rolled back", text, rows)


def require_finite_weights(engine: Engine) -> None:
    """Raise TrainingError rather than commit a weight that is not finite.

    Collective: every rank calls this. An update may overflow though its gradient did not.
    """
    names = [name for name, values in _learning(engine) if not bool(torch.isfinite(values).all())]
    if not all_agree(not names):
        found = f" in {names[0]}" if names else " on another rank"
        raise TrainingError(
            f"a weight is not finite{found}, so this step is not committed. Lower "
            "optimizer.learning_rate in a new run, or go on from the commit before with "
            "thaw resume, --set optimizer.learning_rate=... and --allow-change"
        )


def _learning(engine: Engine) -> list[tuple[str, torch.Tensor]]:
    """Give this rank's share of what learns."""
    named: list[tuple[str, Any]] = list(engine.model.named_parameters())
    learning = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    if engine.stage == 3:
        return [(name, own_values(parameter, dist.get_rank())) for name, parameter in learning]
    return [(name, parameter.detach()) for name, parameter in learning]


def _rows_of(trouble: Trouble) -> str:
    """Name the first microbatch in question."""
    if not trouble.lanes or not trouble.is_of_lanes:
        return ""
    lane, rank, rows = trouble.lanes[0]
    shown = ", ".join(f"{row:016x}" for row in rows[:SHOWN_ROWS])
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    return f", first on rank {rank} in lane {lane}, row ids {shown}{more}"


def _way_out(session: Session, mishaps: Mishaps) -> str:
    faults = session.recipe.faults
    if faults.on_nonfinite == "fail":
        return (
            "Lower optimizer.learning_rate or look at these rows in a new run, or go on from the "
            "last commit past such steps: thaw resume "
            f"{session.recipe.name} --set faults.on_nonfinite=skip --allow-change"
        )
    return (
        f"That is once more than faults.max_skipped ({faults.max_skipped}) allows. Lower "
        "optimizer.learning_rate, or look at the rows"
    )


def _report(session: Session, action: str, text: str, rows: tuple[int, ...]) -> None:
    record = {
        "time": time.time(),
        "step": session.cursor.step,
        "action": action,
        "text": text,
        "row_ids": tuple(f"{row:016x}" for row in rows),
        "count": session.cursor.mishaps.count,
    }
    session.report(Mishap.model_validate(record))
