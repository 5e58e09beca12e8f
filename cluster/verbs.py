"""Do what a job can do besides fine-tuning: prepare, evaluate, predict, export, look, stop."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO, TypeVar

from cluster import runs
from cluster.book import Book
from cluster.orders import Orders
from cluster.places import refuse_links
from cluster.secrets import refuse_missing, take_secrets
from configs.errors import NotFoundError
from configs.records import DataReady, Ended, Note, Preparing
from configs.run_sections import Cluster
from configs.schema import Recipe
from trainers import storage as files
from trainers.belongings import LENT
from trainers.export_folder import FOLDER, delete_export, refuse_place
from trainers.imports import uncollected

if TYPE_CHECKING:
    from cluster.attempts import Fit
    from cluster.driver import JobOrder

Said = TypeVar("Said", DataReady, Ended, Note, Preparing)
Verb = Callable[["JobOrder", TextIO], Ended]


def prepare(order: "JobOrder", log: TextIO) -> Ended:
    """Prepare the data of a recipe; a set that is there already is found again."""
    ready = _say(log, _prepare(order.recipe, log))
    rows = sum(ready.splits.values())
    found = "found prepared" if ready.cached else "prepared"
    return _say(log, _done(f"{rows} rows {found} in {ready.path}", rows))


def evaluate(order: "JobOrder", log: TextIO) -> Ended:
    """Evaluate a run on its test split, or on other files in its place, which alone are read."""
    from trainers.data.plan import recipe_for
    from trainers.data.store import load_manifest

    recipe, state = _read_run(order)
    function = order.arguments.get("function", "trainers.committed:evaluate")
    if "data" not in order.arguments:
        split = "test" if recipe.data.test is not None else "validation"
        return _on_workers(order, log, function, {"split": split})
    shown = order.arguments["data"]
    labels = load_manifest(_prepared(state)).label_names
    ready = _prepare(recipe_for(recipe, shown), log, labels)
    _say(log, ready.model_copy(update={"splits": {shown: ready.splits["test"]}}))
    return _on_workers(order, log, function, {"split": "test", "rows": ready.path, "shown": shown})


def export(order: "JobOrder", log: TextIO) -> Ended:
    """Write a run's best weights as a Hugging Face folder."""
    function = order.arguments.get("function", "trainers.committed:export")
    folder, overwrite = order.arguments["folder"], order.arguments.get("overwrite", "")
    run_dir = runs.run_directory(order.recipe.storage, order.recipe.name)
    refuse_place(folder, run_dir, overwrite=bool(overwrite))
    return _on_workers(order, log, function, {"folder": folder, "overwrite": overwrite})


def predict(order: "JobOrder", log: TextIO) -> Ended:
    """Predict every row of a file with a run's export, else with its best commit."""
    from cluster import machines
    from cluster.outputs import has_export, refuse_no_weights, refuse_output
    from cluster.predict import Asked, plural, predict_file
    from cluster.prediction_files import check_output

    recipe, state = _read_run(order)
    given = order.arguments
    asked = Asked(
        source=given["input"],
        output=given["output"],
        overwrite="overwrite" in given,
        skips_bad=given.get("bad") == "skip",
        kind=given.get("format", "auto"),
    )
    check_output(asked.output)
    refuse_output(asked.output, asked.source, overwrite=asked.overwrite)
    refuse_no_weights(state.storage, state.name, state.state)
    machines.join_cluster(recipe.cluster.secrets)
    if has_export(state.storage, state.name):
        _find_room(order, recipe.cluster.model_copy(update={"num_workers": 1}), 1, log)
        folder = files.join(runs.run_directory(state.storage, state.name), FOLDER)
        (rows, bad), lent = predict_file(recipe, folder, asked), None
    else:
        with _lent_export(order, log) as (folder, lent):
            rows, bad = predict_file(recipe, folder, asked)
    said = f"{plural(rows)} predicted into {asked.output}"
    said += f" with {lent.message}" if lent is not None else ""
    said += f", {plural(bad.total)} of them with an error: {bad}" if bad.total else ""
    return _say(log, _done(said, rows, step=lent.step if lent is not None else 0))


def stop(order: "JobOrder", log: TextIO) -> Ended:
    """Ask a run to commit and stop, for a client that cannot see the storage."""
    runs.request_stop(order.recipe.storage, order.recipe.name)
    return _say(log, _done(f"asked run {order.recipe.name} to commit and stop", 0))


def doctor(order: "JobOrder", log: TextIO) -> Ended:
    """Look at all nodes for a person who asks whether they are in order."""
    from cluster.examination import examine

    examine(order, log)
    return _say(log, _done("looked at all nodes", 0))


VERBS: dict[str, Verb] = {
    "prepare": prepare,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "stop": stop,
    "doctor": doctor,
}


@contextmanager
def _lent_export(order: "JobOrder", log: TextIO) -> Iterator[tuple[str, Ended]]:
    """Write the best commit as an export that every node sees, for as long as it is used."""
    run_dir = runs.run_directory(order.recipe.storage, order.recipe.name)
    folder = files.join(run_dir, f"{LENT}{order.job_id}")
    try:
        lent, _, fit = _carried_out(order, log, "trainers.committed:lend", {"folder": folder})
        fit.wait()
        yield folder, lent
    finally:
        delete_export(folder)


def _on_workers(
    order: "JobOrder",
    log: TextIO,
    function: str,
    arguments: dict[str, str],
) -> Ended:
    """Call a function of trainers on a group of workers, and say how it ended."""
    result, book, fit = _carried_out(order, log, function, arguments)
    book.write(result)
    fit.wait()
    return result


def _carried_out(
    order: "JobOrder",
    log: TextIO,
    function: str,
    arguments: dict[str, str],
) -> "tuple[Ended, Book, Fit]":
    """Call a function of trainers on a group of workers, as the run itself does."""
    recipe, state = _read_run(order)
    data_dir = _prepared(state)  # before anybody waits for room
    with uncollected():
        from cluster import attempts, machines

    machines.join_cluster(recipe.cluster.secrets)
    workers = _find_room(order, _least(recipe), recipe.batch.lanes, log)
    folder = runs.run_directory(state.storage, state.name)
    label = _next_label(folder, order.verb)
    book = Book(files.join(folder, "logs", label, "records.jsonl"), log)
    fit = attempts.Fit(
        Orders(
            function=function,
            recipe=recipe,
            num_workers=workers,
            run_dir=folder,
            data_dir=data_dir,
            attempt=state.attempts,
            reason=order.verb,
            resumed_from_step=state.step,
            arguments=arguments,
            records=book.address,
            label=label,
        )
    )
    result = attempts.watch(fit, book.echo)
    if not isinstance(result, Ended):
        raise result.as_error()
    return result, book, fit


def _least(recipe: Recipe) -> Cluster:
    """Ask for as many workers as the run, and no more than one where one holds the whole model.

    Nothing is trained, so that ZeRO shards the model alone, which it does at stage 3.
    """
    if recipe.zero.stage == 3:
        return recipe.cluster
    return recipe.cluster.model_copy(update={"num_workers": (1, recipe.cluster.most_workers)})


def _find_room(order: "JobOrder", asked: Cluster, lanes: int, log: TextIO) -> int:
    """Wait until workers can be placed, and say so; returns how many of them."""
    from cluster import machines

    def say(text: str, event: str = "waiting") -> None:
        said = {"time": time.time(), "level": "info", "text": text, "event": event}
        _say(log, Note.model_validate(said))

    workers = machines.wait_for_room(asked, lanes, say)
    of = "" if workers == asked.most_workers else f" of {asked.most_workers}"
    say(f"{order.verb} runs on {workers}{of} worker{'s' * (asked.most_workers > 1)}", "placed")
    return workers


def _prepare(recipe: Recipe, log: TextIO, labels: tuple[str, ...] | None = None) -> DataReady:
    from cluster.prepare import is_small, prepare_here, prepare_on_all_nodes

    secrets = recipe.cluster.secrets
    refuse_missing({socket.gethostname(): take_secrets(secrets)})
    if is_small(recipe, labels):
        return prepare_here(recipe, partial(_say, log), labels)
    from cluster import machines

    machines.join_cluster(secrets)
    return prepare_on_all_nodes(recipe, partial(_say, log), labels)


def _read_run(order: "JobOrder") -> tuple[Recipe, runs.RunState]:
    """Read the run that an order is about; the machines are those that the order asks for."""
    storage, name = order.recipe.storage, order.recipe.name
    state = runs.read_run(storage, name)
    refuse_links(runs.run_directory(storage, name))
    recipe = runs.read_run_recipe(storage, name)
    return recipe.model_copy(update={"cluster": order.recipe.cluster}), state


def _prepared(state: runs.RunState) -> str:
    if state.data_dir is None:
        raise NotFoundError(
            f"Run {state.name} has no prepared data yet: it is {state.state}. Submit or "
            "resume it first"
        )
    return state.data_dir


def _next_label(folder: str, verb: str) -> str:
    names = files.list_names(files.join(folder, "logs"))
    taken = [int(found[1]) for name in names if (found := re.fullmatch(rf"{verb}-(\d+)", name))]
    return f"{verb}-{max(taken, default=0) + 1:02d}"


def _say(log: TextIO, record: Said) -> Said:
    log.write(record.model_dump_json() + "\n")
    log.flush()
    return record


def _done(message: str, rows: int, step: int = 0) -> Ended:
    return Ended(
        time=time.time(),
        state="succeeded",
        exit_code=0,
        error=None,
        message=message,
        step=step,
        metrics={},
        rows=rows,
    )
