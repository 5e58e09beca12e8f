"""Fine-tune, top to bottom, as one rank of a run; where ranks come from others know."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from configs.errors import STOPPED
from configs.records import Ended, Phase, Record, Step
from configs.schema import Recipe
from trainers.cadence import commit_due, evaluation_due, step_is_logged
from trainers.checksums import checksum_due, compare_ranks
from trainers.data.augmented_rows import build_changes
from trainers.data.batches import Change, read_steps
from trainers.data.epoch_plan import EpochPlan, plan_epochs, planned_steps
from trainers.data.image_mixing import Mix
from trainers.early_stopping import Best, compared_metric, rule_for, should_stop, update_best
from trainers.engine import set_learning_rate
from trainers.ledger import close_epoch
from trainers.losses import training_loss
from trainers.memory import is_shortage, shortage
from trainers.phase_change import MotionProof, begin_next_phase, phase_is_over
from trainers.place import Place
from trainers.recovery import RollBack, go_back, require_finite_weights, settle_step
from trainers.rehearsal import rehearsed
from trainers.session import Session
from trainers.step import SummedLoss, count_batch, take_step
from trainers.strategy.learning_rates import learning_rate_factor
from trainers.strategy.phases import Bounds, cut_bounds, place_phases
from trainers.throughput import Throughput

if TYPE_CHECKING:
    from trainers.evaluation import Evaluation


@dataclass
class _Loop:
    """What the training loop knows besides its session."""

    epochs: EpochPlan
    change: Change | None
    mix: Mix | None
    summed_loss: SummedLoss
    total_steps: int
    stop_requested: Callable[[], bool]
    last_commit: float
    proof: MotionProof

    def bounds(self, session: Session) -> tuple[Bounds, ...]:
        """Place the phases, given when those so far began."""
        steps_per_epoch = self.epochs.lanes.steps_per_epoch
        whole = session.recipe.epochs * steps_per_epoch
        begun = session.cursor.phase_starts
        placed = place_phases(session.phases, steps_per_epoch, whole, begun)
        return cut_bounds(placed, self.total_steps)


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
    back: RollBack | None = None
    while True:
        session = Session(recipe, place, report)
        if back is not None:
            go_back(session, back)
        try:
            return _train(session, stop_requested)
        except (RuntimeError, MemoryError, OSError) as error:
            if is_shortage(error):
                raise shortage(error, session.engine, place.rank, place.world_size) from error
            raise
        except RollBack as asked:
            # Without the frames that it came from, which hold the model.
            back = asked.with_traceback(None)
            session.commits.settle()
            session.engine.handle.destroy()
        finally:
            session.close()
        del session


def _train(session: Session, stop_requested: Callable[[], bool]) -> Ended:
    """Take all steps from where the session stands, and finish. Collective."""
    loop = _plan_loop(session, stop_requested)
    _report_phase(session, loop)
    if session.recipe.evaluation.at_start and session.cursor.step == 0:
        _validate(session)
    while not _is_done(session, loop):
        if phase_is_over(session, loop.bounds(session)):
            _change_phase(session, loop)
        if _train_epoch(session, loop):
            session.commits.settle()
            return _stopped(session, loop)
    session.commits.settle()
    # Exporting needs what training does not (jinja2, a second model): not before it is over.
    from trainers.finish import finish

    return finish(session)


def _train_epoch(session: Session, loop: _Loop) -> bool:
    """Take the steps that are left of this epoch or phase. Returns True when asked to stop.

    Collective: every rank calls this.
    """
    recipe, place = session.recipe, session.place
    split = session.open_split("train")
    lanes = loop.epochs.open(
        split, place.rank, place.world_size, session.cursor.epoch, session.recordings("train")
    )
    steps_per_epoch = loop.epochs.lanes.steps_per_epoch
    stream = read_steps(
        lanes,
        loop.epochs.lanes,
        session.collate(packing=recipe.batch.packing),
        epoch=session.cursor.epoch,
        change=loop.change,
        mix=loop.mix,
        start_step=session.cursor.step_in_epoch,
        left_out=session.cursor.mishaps.left_out_of(session.cursor.epoch),
    )
    throughput = Throughput(has_tokens=session.task.pixels is None)
    with closing(stream):
        for microbatches in stream:
            counts = count_batch(
                microbatches,
                stop=session.leads and loop.stop_requested(),
                commit=session.leads and _minutes_are_over(session, loop),
                failed=session.commits.has_failed(),
            )
            if counts.failed:
                session.commits.settle()
            session.commits.notice()
            cursor = session.cursor
            rate = _learning_rate(session, loop)
            set_learning_rate(session.engine, rate)
            result = take_step(
                session.engine,
                microbatches,
                counts,
                loop.summed_loss,
                recipe.seed,
                most_loss=cursor.mishaps.most_loss(recipe.faults),
            )
            throughput.add(counts)
            session.advance(
                step=cursor.step + 1,
                step_in_epoch=cursor.step_in_epoch + 1,
                rows=cursor.rows + counts.rows,
                id_sum=(cursor.id_sum + counts.id_sum) % 2**64,
            )
            settle_step(session, result, microbatches)
            if result.moved:
                loop.proof.settle(session, rate, len(loop.bounds(session)))
            step = cursor.step + 1
            if step_is_logged(recipe.tracking.log_every_steps, step, loop.total_steps):
                speed = throughput.take(stream.seconds_waited)
                session.report(
                    Step(
                        time=time.time(),
                        attempt=place.attempt,
                        step=step,
                        total_steps=loop.total_steps,
                        epoch=cursor.epoch + (cursor.step_in_epoch + 1) / steps_per_epoch,
                        loss=result.loss,
                        learning_rate=rate,
                        grad_norm=result.grad_norm,
                        phase=cursor.phase + 1,
                        **asdict(speed),
                    )
                )
            if session.cursor.step_in_epoch == steps_per_epoch:
                close_epoch(session, loop.epochs, lanes)
            _evaluate_and_commit(session, loop, asked=counts.commit or counts.stop)
            if _is_done(session, loop) or phase_is_over(session, loop.bounds(session)):
                return counts.stop and not _is_done(session, loop)
            if counts.stop:
                return True
    return False


def _evaluate_and_commit(session: Session, loop: _Loop, *, asked: bool) -> None:
    """Evaluate and commit where that is due after a step. Collective: every rank calls this."""
    if checksum_due(session.recipe.faults.checksum_every_steps, session.cursor.step):
        compare_ranks(session.engine, session.cursor.step)
    at_end = session.cursor.step >= loop.total_steps
    if evaluation_due(session.recipe.evaluation, session.cursor) or at_end:
        _validate(session)
    due = commit_due(session.recipe.checkpoint, session.cursor)
    due = due or phase_is_over(session, loop.bounds(session))
    if asked or due or at_end or session.cursor.stopped_early:
        require_finite_weights(session.engine)
        session.commit()
        loop.last_commit = time.monotonic()


def _validate(session: Session) -> None:
    """Evaluate the validation split and take the best and the patience from it. Collective."""
    if "validation" not in session.manifest.splits:
        return
    # Imported at the first evaluation: the first step does not wait for metrics and pictures.
    from trainers.evaluation import evaluate_split, report_evaluation

    recipe, step = session.recipe, session.cursor.step
    evaluation = evaluate_split(session, "validation")
    known = session.cursor.best_metric
    metric = compared_metric(
        recipe.best_metric, known, evaluation.metrics, exports_last=recipe.exports_last
    )
    # Before the first step there is no commit that could be exported.
    if metric is not None and step:
        value = _compared_value(session, evaluation.metrics, metric)
        before = session.cursor.best if known in (metric, None) else Best()
        best = update_best(before, value, step, metric, rule_for(metric, recipe.early_stopping))
        at = {} if value is None else {"value": value, "value_step": step}
        session.advance(best=best, best_metric=metric, **at)
        _spend_patience(session, evaluation)
    stall = session.phases[session.cursor.phase].until_stall
    if stall is not None:
        value = _compared_value(session, evaluation.metrics, stall.metric)
        of_phase = session.cursor.phase_best
        of_phase = update_best(of_phase, value, step, stall.metric, stall.stopping)
        session.advance(phase_best=of_phase)
    is_best = session.cursor.best.is_at(step)
    report_evaluation(session, evaluation, "validation", is_best=is_best)


def _spend_patience(session: Session, evaluation: "Evaluation") -> None:
    """Count the evaluations without improvement of the metric that early stopping goes by."""
    asked, cursor = session.recipe.early_stopping, session.cursor
    if asked is None:
        return
    patience = cursor.best
    if asked.metric != cursor.best_metric:
        before = cursor.patience if cursor.patience_metric == asked.metric else Best()
        value = _compared_value(session, evaluation.metrics, asked.metric)
        patience = update_best(before, value, cursor.step, asked.metric, asked)
    session.advance(
        patience=patience,
        patience_metric=asked.metric,
        stopped_early=should_stop(patience, asked),
    )


def _compared_value(session: Session, metrics: dict[str, float], metric: str) -> float | None:
    """Give the value of a metric; None, with a note, for one that is undefined here.

    Raises RecipeError with the names there are for none. One that is not finite because the loss is
    not, is no less a value: the worst.
    """
    from trainers.evaluation import metric_value

    value = metric_value(metrics, metric)
    if not math.isnan(value) or math.isnan(metrics["loss"]):
        return value
    session.note_once(
        f"{metric} is undefined for these rows of validation: such an evaluation is neither better "
        "nor worse than others, and no patience is spent on it"
    )
    return None


def _plan_loop(session: Session, stop_requested: Callable[[], bool]) -> _Loop:
    recipe, manifest = session.recipe, session.manifest
    epochs = plan_epochs(recipe, manifest)
    total = planned_steps(recipe, epochs)
    loss = rehearsed(session, training_loss(recipe, manifest))
    change, mix = build_changes(recipe, manifest)
    proof, now = MotionProof(session), time.monotonic()
    return _Loop(epochs, change, mix, loss, total, stop_requested, last_commit=now, proof=proof)


def _learning_rate(session: Session, loop: _Loop) -> float:
    """Give the peak group's rate for the next step."""
    schedule, step, total = session.recipe.schedule, session.cursor.step, loop.total_steps
    if schedule.per == "phase":
        phase = loop.bounds(session)[session.cursor.phase]
        step, total = step - phase.first, phase.last - phase.first
    return session.recipe.optimizer.learning_rate * learning_rate_factor(schedule, step, total)


def _change_phase(session: Session, loop: _Loop) -> None:
    """Go on with the next phase. Collective: every rank calls this."""
    begin_next_phase(session)
    loop.proof = MotionProof(session)
    _report_phase(session, loop)


def _report_phase(session: Session, loop: _Loop) -> None:
    learn, frozen = session.live.count_parameters()
    bounds, number = loop.bounds(session), session.cursor.phase
    session.report(
        Phase(
            time=time.time(),
            phase=number + 1,
            num_phases=len(bounds),
            name=session.phases[number].name,
            trainable_parameters=learn,
            total_parameters=learn + frozen,
            total_steps=loop.total_steps,
            first_step=bounds[number].first,
            last_step=bounds[number].last,
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
        message=f"stopped after step {step:,} of {loop.total_steps:,}, committed",
        step=step,
        metrics={},
        rows=0,
    )
