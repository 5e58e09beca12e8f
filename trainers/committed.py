"""Evaluate or export what a run has committed; training stands in finetune.py."""

import time
from collections.abc import Callable

from configs.errors import NotFoundError
from configs.records import Ended, Exported, Record
from configs.schema import Recipe
from trainers.data.store import SplitName, load_manifest
from trainers.evaluation import Elsewhere, evaluate_and_report, told
from trainers.export_folder import How
from trainers.finish import Target, export_model
from trainers.place import Place
from trainers.session import Session


def evaluate(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    split: SplitName,
    *,
    rows: str = "",
    shown: str = "",
) -> Ended:
    """Evaluate the best committed weights on a split of `place.data_dir`.

    Collective: every rank calls this. `rows` is the address of a prepared set with other test rows
    and the run's labels, which are told of as `shown`. Raises CheckpointError when the run has no
    commit, NotFoundError when the set has no such split.
    """
    session = Session(recipe, place, report, training=False)
    elsewhere = Elsewhere(rows, load_manifest(rows), shown) if rows else None
    splits = session.manifest.splits if elsewhere is None else elsewhere.manifest.splits
    if split not in splits:
        known = ", ".join(splits)
        raise NotFoundError(f"the data has no {split} split, only {known}. Name one of them")
    evaluation = evaluate_and_report(session, split, elsewhere)
    return _ended(session, f"{shown or split} evaluated", evaluation.metrics, evaluation.rows)


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


def lend(recipe: Recipe, place: Place, report: Callable[[Record], None], folder: str) -> Ended:
    """Export the best committed weights to a folder of the job's own; the message names the commit.

    Collective: every rank calls this. It is no export of the run: nobody is told of one.
    """
    session = Session(
        recipe, place, lambda it: None if isinstance(it, Exported) else report(it), training=False
    )
    export_model(session, Target(folder, session.cursor, "own"), metrics={})
    cursor, name = session.cursor, session.commits.newest
    is_best = cursor.best.is_at(cursor.step) and not recipe.exports_last
    which = f"the best by {cursor.best_metric or recipe.best_metric}" if is_best else "the newest"
    return _ended(session, f"commit {name}, {which}", {}, 0)


def _ended(session: Session, message: str, metrics: dict[str, float], rows: int) -> Ended:
    return Ended(
        time=time.time(),
        state="succeeded",
        exit_code=0,
        error=None,
        message=message,
        step=session.cursor.step,
        metrics=told(metrics),
        rows=rows,
    )
