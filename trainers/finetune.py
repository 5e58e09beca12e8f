"""Fine-tune, top to bottom, as one rank of a run; where ranks come from others know."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass

from configs.errors import STOPPED, TrainingError
from configs.records import Ended, Ledger, Phase, Record, Step
from configs.schema import Recipe
from trainers.cadence import commit_due, evaluation_due, step_is_logged
from trainers.data.batches import read_steps
from trainers.data.lanes import LanePlan
from trainers.data.store import open_split
from trainers.early_stopping import should_stop, update_best
from trainers.engine import set_learning_rate
from trainers.place import Place
from trainers.session import Session
from trainers.step import count_batch, take_step
from trainers.strategy.freezing import count_elements
from trainers.strategy.learning_rates import learning_rate_factor
from trainers.throughput import Throughput


@dataclass
class _Loop:
    """What the training loop knows besides its session."""

    plan: LanePlan
    total_steps: int
    stop_requested: Callable[[], bool]
    last_commit: float


def finetune(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Run the recipe to its end, from its newest good commit. Collective: every rank calls this.

    `report` gets each record on rank 0, besides the files of the run directory; `stop_requested` is
    asked on rank 0 between steps, and True ends the run with a commit. Returns what was reached.
    Raises the errors of configs.errors.
    """
    session = Session(recipe, place, report)
    try:
        loop = _plan_loop(session, stop_requested)
        _report_phase(session, loop)
        if recipe.evaluation.at_start and session.cursor.step == 0:
            _validate(session)
        while not _is_done(session, loop):
            if _train_epoch(session, loop):
                return _stopped(session, loop)
        # Exporting needs what training does not (jinja2, a second model): not before it is over.
        from trainers.finish import finish

        return finish(session)
    finally:
        session.close()


def _train_epoch(session: Session, loop: _Loop) -> bool:
    """Take the steps that are left of this epoch. Returns True when a stop was asked for.

    Collective: every rank calls this.
    """
    recipe, place = session.recipe, session.place
    stream = read_steps(
        open_split(place.data_dir, session.manifest, "train"),
        loop.plan,
        session.task.collate(session.manifest, recipe.batch.pad_to_multiple_of),
        rank=place.rank,
        world_size=place.world_size,
        epoch=session.cursor.epoch,
        start_step=session.cursor.step_in_epoch,
    )
    throughput = Throughput()
    with closing(stream):
        for microbatches in stream:
            counts = count_batch(
                microbatches,
                stop=session.leads and loop.stop_requested(),
                commit=session.leads and _minutes_are_over(session, loop),
            )
            cursor = session.cursor
            factor = learning_rate_factor(recipe.schedule, cursor.step, loop.total_steps)
            rate = recipe.optimizer.learning_rate * factor
            set_learning_rate(session.engine, rate)
            result = take_step(
                session.engine, microbatches, counts, session.task.summed_loss, recipe.seed
            )
            throughput.add(counts)
            session.advance(
                step=cursor.step + 1,
                step_in_epoch=cursor.step_in_epoch + 1,
                rows=cursor.rows + counts.rows,
                id_sum=(cursor.id_sum + counts.id_sum) % 2**64,
            )
            step = cursor.step + 1
            if step_is_logged(recipe.tracking.log_every_steps, step, loop.total_steps):
                speed = throughput.take(stream.seconds_waited)
                session.report(
                    Step(
                        time=time.time(),
                        attempt=place.attempt,
                        step=step,
                        total_steps=loop.total_steps,
                        epoch=cursor.epoch + (cursor.step_in_epoch + 1) / loop.plan.steps_per_epoch,
                        loss=result.loss,
                        learning_rate=rate,
                        grad_norm=result.grad_norm,
                        **asdict(speed),
                    )
                )
            if session.cursor.step_in_epoch == loop.plan.steps_per_epoch:
                _close_epoch(session)
            _evaluate_and_commit(session, loop, asked=counts.commit or counts.stop)
            if _is_done(session, loop):
                return False
            if counts.stop:
                return True
    return False


def _evaluate_and_commit(session: Session, loop: _Loop, *, asked: bool) -> None:
    """Evaluate and commit where that is due after a step. Collective: every rank calls this."""
    at_end = session.cursor.step >= loop.total_steps
    if evaluation_due(session.recipe.evaluation, session.cursor) or at_end:
        _validate(session)
    due = commit_due(session.recipe.checkpoint, session.cursor)
    if asked or due or at_end or session.cursor.stopped_early:
        session.commit()
        loop.last_commit = time.monotonic()


def _validate(session: Session) -> None:
    """Evaluate the validation split and take the best and the patience from it. Collective."""
    if "validation" not in session.manifest.splits:
        return
    # Imported at the first evaluation: the first step does not wait for metrics and pictures.
    from trainers.evaluation import evaluate_split, metric_value, report_evaluation

    recipe, step = session.recipe, session.cursor.step
    evaluation = evaluate_split(session, "validation")
    if recipe.best_metric is not None:
        value = metric_value(evaluation.metrics, recipe.best_metric)
        best = update_best(
            session.cursor.best, value, step, recipe.best_metric, recipe.early_stopping
        )
        session.advance(best=best, stopped_early=should_stop(best, recipe.early_stopping))
    is_best = session.cursor.best.is_at(step)
    report_evaluation(session, evaluation, "validation", is_best=is_best)


def _close_epoch(session: Session) -> None:
    """Compare the epoch's ledger with the manifest; raises TrainingError when they differ."""
    cursor, info = session.cursor, session.manifest.splits["train"]
    ok = (cursor.rows, cursor.id_sum) == (info.rows, int(info.id_sum, 16))
    session.report(
        Ledger(
            time=time.time(),
            step=cursor.step,
            epoch=cursor.epoch + 1,
            split="train",
            rows=cursor.rows,
            expected_rows=info.rows,
            id_sum=f"{cursor.id_sum:016x}",
            ok=ok,
        )
    )
    if not ok:
        raise TrainingError(
            f"epoch {cursor.epoch + 1} saw {cursor.rows} rows, the prepared set has {info.rows}, "
            "or not the same ones. Prepare the data again and start a new run"
        )
    session.advance(epoch=cursor.epoch + 1, step_in_epoch=0, rows=0, id_sum=0)


def _plan_loop(session: Session, stop_requested: Callable[[], bool]) -> _Loop:
    recipe, batch = session.recipe, session.recipe.batch
    rows = session.manifest.splits["train"].rows
    plan = LanePlan(rows, batch.lanes, batch.microbatch_size, recipe.seed, shuffle=True)
    total = recipe.epochs * plan.steps_per_epoch
    if recipe.max_steps is not None:
        total = min(total, recipe.max_steps)
    return _Loop(plan, total, stop_requested, last_commit=time.monotonic())


def _report_phase(session: Session, loop: _Loop) -> None:
    sizes = [(count_elements(p), p.requires_grad) for p in session.model.parameters()]
    session.report(
        Phase(
            time=time.time(),
            phase=1,
            num_phases=1,
            name=session.recipe.freezing.mode,
            trainable_parameters=sum(size for size, learns in sizes if learns),
            total_parameters=sum(size for size, _ in sizes),
            total_steps=loop.total_steps,
        )
    )


def _is_done(session: Session, loop: _Loop) -> bool:
    return session.cursor.stopped_early or session.cursor.step >= loop.total_steps


def _minutes_are_over(session: Session, loop: _Loop) -> bool:
    minutes = session.recipe.checkpoint.every_minutes
    return minutes is not None and time.monotonic() - loop.last_commit >= 60 * minutes


def _stopped(session: Session, loop: _Loop) -> Ended:
    """Say how far a run came that was asked to stop; its commit exists."""
    step = session.cursor.step
    return Ended(
        time=time.time(),
        state="stopped",
        exit_code=STOPPED,
        error=None,
        message=f"stopped after step {step} of {loop.total_steps}, committed",
        step=step,
        metrics={},
        rows=0,
    )
