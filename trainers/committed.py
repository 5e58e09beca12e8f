"""Evaluate or export what a run has committed; training stands in finetune.py."""

import time
from collections.abc import Callable

from configs.errors import NotFoundError
from configs.records import Ended, Record
from configs.schema import Recipe
from trainers.data.store import SplitName
from trainers.evaluation import evaluate_and_report
from trainers.export_folder import How
from trainers.finish import Target, export_model
from trainers.place import Place
from trainers.session import Session


def evaluate(
    recipe: Recipe, place: Place, report: Callable[[Record], None], split: SplitName
) -> Ended:
    """Evaluate the best committed weights on a split of `place.data_dir`.

    Collective: every rank calls this. The prepared set may be another than the run's, with the same
    labels. Raises NotFoundError when the run has no commit or the set no such split.
    """
    session = Session(recipe, place, report, training=False)
    if split not in session.manifest.splits:
        known = ", ".join(session.manifest.splits)
        raise NotFoundError(f"the data has no {split} split, only {known}. Name one of them")
    evaluation = evaluate_and_report(session, split)
    return _ended(session, f"{split} evaluated", evaluation.metrics, evaluation.rows)


def export(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    folder: str,
    overwrite: str = "",
) -> Ended:
    """Export the best committed weights to a folder and prove it.

    Collective: every rank calls this. Raises LockedError where the folder holds what is not ours;
    `overwrite` lets an older export go.
    """
    session = Session(recipe, place, report, training=False)
    how: How = "overwrite" if overwrite else "new"
    export_model(session, Target(folder, session.cursor, how), metrics={})
    return _ended(session, f"exported to {folder}", {}, 0)


def _ended(session: Session, message: str, metrics: dict[str, float], rows: int) -> Ended:
    return Ended(
        time=time.time(),
        state="succeeded",
        exit_code=0,
        error=None,
        message=message,
        step=session.cursor.step,
        metrics=metrics,
        rows=rows,
    )
