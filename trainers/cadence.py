"""Say what is due after a step: an evaluation, a commit, a line; pure, so that all ranks agree."""

from configs.run_sections import Checkpoint, Evaluation
from trainers.manifest import Cursor


def evaluation_due(asked: Evaluation, cursor: Cursor) -> bool:
    """Say whether the validation split is to be evaluated where the cursor stands."""
    return _by_step(asked.every_steps, cursor) or _by_epoch(asked.every_epochs, cursor)


def commit_due(asked: Checkpoint, cursor: Cursor) -> bool:
    """Say whether a commit is due by steps or epochs, or because this is the best evaluation."""
    return (
        _by_step(asked.every_steps, cursor)
        or _by_epoch(asked.every_epochs, cursor)
        or cursor.best.is_at(cursor.step)
    )


def step_is_logged(log_every_steps: int, step: int, total_steps: int) -> bool:
    """Say whether a step gets a record: every n-th, the first and the last."""
    return step % log_every_steps == 0 or step in (1, total_steps)


def _by_step(every: int | None, cursor: Cursor) -> bool:
    return every is not None and cursor.step > 0 and cursor.step % every == 0


def _by_epoch(every: int | None, cursor: Cursor) -> bool:
    at_boundary = cursor.step_in_epoch == 0 and cursor.epoch > 0
    return every is not None and at_boundary and cursor.epoch % every == 0
