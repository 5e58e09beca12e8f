"""Drive a fine-tuning run: take the name, prepare, try, try again from the last commit, end."""

import logging
import signal
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TextIO

from cluster import runs
from cluster.book import Book
from cluster.driven_run import RETRY_AFTER_S, Run
from cluster.easing import after_shortage, eased
from cluster.lock import Lease, beating
from cluster.orders import FINETUNE, Orders, read_data
from configs.errors import STOPPED, CheckpointError, HangError, StorageError
from configs.records import DataReady, Ended
from trainers import storage as files
from trainers.imports import uncollected
from trainers.persistence import persist

if TYPE_CHECKING:
    from cluster.driver import JobOrder
    from cluster.failures import Failure
    from cluster.pauses import Pauses

LOG = logging.getLogger(__name__)
STORAGE = StorageError.__name__
NOTICE_S = 15.0
"""Time for a commit once the driver is told to end from outside; Ray kills it after 20 s."""
MOST_HANGS = 1
"""What hangs twice would hang again."""


def finetune(order: "JobOrder", log: TextIO) -> Ended:
    """Drive a run to its end, whatever ends it; raises only what happens before it has a name."""
    from cluster.driver import ended_by, ended_with

    run = _open(order, log)
    with files.staying(run.folder), beating(run.folder, run.lease):
        try:
            ended = _drive(run)
        except KeyboardInterrupt:
            ended = ended_with("stopped", STOPPED, None, "Stopped from outside, without a commit")
        except StorageError as error:
            ended = _ended(run, "failed", error.exit_code, STORAGE, _with_way_out(run, str(error)))
        except Exception as error:
            ended = ended_by(error)
        _close(run, ended)
    if run.fit is not None and not run.lease.lost:
        run.fit.wait()
    return ended


def _open(order: "JobOrder", log: TextIO) -> Run:
    recipe = order.recipe
    storage, damage = recipe.storage, []
    if order.arguments.get("resume"):
        damage = runs.find_damage(storage, recipe.name)
        state = runs.take_over_run(
            storage, recipe, order.job_id, allow_change="allow_change" in order.arguments
        )
    else:
        state = runs.create_run(storage, recipe, order.job_id, owner=order.owner)
    folder = runs.run_directory(storage, recipe.name)
    run = Run(
        recipe=eased(recipe, state.eased),
        state=state,
        book=Book(files.join(folder, "metrics.jsonl"), log),
        function=order.arguments.get("function", FINETUNE),
        folder=folder,
        allow_change="allow_change" in order.arguments,
        lease=Lease(folder, state.claim),
    )
    for sentence in damage:
        run.note(sentence, "warning")
    return run


def _drive(run: Run) -> Ended:
    with uncollected():
        from cluster import attempts, machines
    from cluster.pauses import Pauses
    from cluster.preflight import check_fits
    from cluster.prepare import is_small, prepare_on_all_nodes

    machines.join_cluster(run.recipe.cluster.secrets)
    signal.signal(signal.SIGTERM, partial(_take_notice, run))
    if not machines.grows():
        check_fits(run.recipe.cluster, machines.list_nodes())
    run.change(state="preparing")
    if not is_small(run.recipe):
        _take_data(run, prepare_on_all_nodes(run.recipe, run.book.write), write=True)
    failures, reason = 0, "submitted" if run.state.attempts == 0 else "resumed"
    while True:
        if _stop_requested(run):
            return _stopped(run)
        workers = machines.wait_for_room(run.recipe.cluster, run.recipe.batch.lanes, run.note)
        number = run.next_attempt()
        run.change(attempts=number)
        orders, pauses = _orders(run, number, reason, workers), Pauses(run.recipe, workers)
        run.fit = attempts.Fit(orders)
        result = attempts.watch(run.fit, partial(_watch, run, orders, pauses))
        if isinstance(result, Ended):
            if not _goes_on(run, result, pauses):
                return result
            reason = _say_pause(run, number, result, pauses)
            run.fit.wait()
            attempts.free_room()
            continue
        result = _judged(run, result)
        if result.final or failures >= run.recipe.cluster.max_failures:
            return _failed(run, result, failures)
        failures += 1
        reason = result.message
        _say_retry(run, number, reason)
        time.sleep(RETRY_AFTER_S)
        attempts.free_room()


def _say_pause(run: Run, number: int, result: Ended, pauses: "Pauses") -> str:
    """Tell that an attempt paused; return why."""
    paused = f"paused after step {result.step}: {pauses.reason}"
    run.note(f"attempt {number} {paused}", event="paused", attempt=number, reason=paused)
    return f"{pauses.reason}"


def _say_retry(run: Run, number: int, reason: str) -> None:
    step = _committed_step(run)
    start = "the start: there is no commit yet" if step is None else f"step {step:,}"
    text = f"attempt {number} ended: {reason}. Trying again from {start}"
    run.note(text, "warning", event="retried", attempt=number, reason=reason)


def _judged(run: Run, failure: "Failure") -> "Failure":
    """Say with what this run knows whether the same would happen again, and see that it does not.

    Where memory ran out, the next attempt asks for less.
    """
    if failure.out_of_memory:
        changes, failure = after_shortage(run.recipe, failure)
        run.change(eased=run.state.eased | changes)
        run.recipe = eased(run.recipe, changes)
    run.hangs += failure.error == HangError.__name__
    return replace(failure, final=failure.final or run.hangs > MOST_HANGS)


def _goes_on(run: Run, ended: Ended, pauses: "Pauses") -> bool:
    """Say whether an attempt ended for no other reason than that it was to pause."""
    asked = run.must_end_by is not None or runs.stop_requested(run.state.storage, run.recipe.name)
    return ended.state == "stopped" and pauses.reason is not None and not asked


def _take_notice(run: Run, *_: object) -> None:
    """Ask the workers for a commit and an end, as this driver is told to end; not for ever."""
    if run.fit is None or run.must_end_by is not None:
        raise KeyboardInterrupt
    run.must_end_by = time.monotonic() + NOTICE_S
    runs.request_stop(run.state.storage, run.recipe.name)


def _watch(run: Run, orders: Orders, pauses: "Pauses") -> "Failure | None":
    """Pass on what the workers wrote, and look whether the attempt must end or pause.

    Also notes where the data are, once rank 0 has prepared them. Gives a failure where the run's
    folder is gone for longer than a storage may be.
    """
    from cluster.failures import Failure
    from cluster.worker import read_hosts

    if run.lease.gone_s() > run.recipe.checkpoint.deadline_s:
        return Failure(True, StorageError.exit_code, STORAGE, _gone(run))
    run.book.echo()
    run.save()
    run.refuse_if_lost()
    if run.must_end_by is not None and time.monotonic() > run.must_end_by:
        raise KeyboardInterrupt
    if pauses.look(lambda: read_hosts(orders.logs)):
        files.write_atomically(orders.pause, b"{}\n")
    if run.data_dir is None and (ready := read_data(orders)) is not None:
        _take_data(run, ready, write=False)
    return None


def _gone(run: Run) -> str:
    return (
        f"{run.folder} is gone for longer than checkpoint.deadline_s "
        f"({run.recipe.checkpoint.deadline_s:g} s): it was moved or deleted. Put it back"
    )


def _with_way_out(run: Run, message: str) -> str:
    """Tell from where the run goes on once its storage is there again."""
    text = message.rstrip(".")
    return f"{text}. Then `thaw resume {run.recipe.name}` goes on from {_newest_commit(run)}"


def _take_data(run: Run, ready: DataReady, *, write: bool) -> None:
    if write:
        run.book.write(ready)
    run.data_dir = ready.path
    run.change(state="running", data_dir=ready.path)


def _orders(run: Run, number: int, reason: str, workers: int) -> Orders:
    return Orders(
        function=run.function,
        recipe=run.recipe,
        num_workers=workers,
        allow_change=run.allow_change,
        run_dir=run.folder,
        data_dir=run.data_dir,
        attempt=number,
        claim=run.lease.claim,
        reason=reason,
        resumed_from_step=_committed_step(run),
        records=run.book.address,
        label=f"a{number:02d}",
    )


def _failed(run: Run, failure: "Failure", failures: int) -> Ended:
    message = failure.message
    if failure.error == STORAGE:
        message = _with_way_out(run, message)
    if not failure.final:
        message = (
            f"Gave up after {failures + 1} attempts, cluster.max_failures is "
            f"{run.recipe.cluster.max_failures}: {message}. "
            f"`thaw resume {run.recipe.name}` goes on from {_newest_commit(run)}"
        )
    return _ended(run, "failed", failure.exit_code, failure.error, message)


def _stopped(run: Run) -> Ended:
    return _ended(run, "stopped", STOPPED, None, "Stopped before the next attempt began")


def _ended(run: Run, state: str, exit_code: int, error: str | None, message: str) -> Ended:
    return Ended.model_validate(
        {
            "time": time.time(),
            "state": state,
            "exit_code": exit_code,
            "error": error,
            "message": message,
            "step": _committed_step(run) or run.state.step,
            "metrics": {},
            "rows": 0,
        }
    )


def _stop_requested(run: Run) -> bool:
    run.refuse_if_lost()
    asked = partial(runs.stop_requested, run.state.storage, run.recipe.name)
    return persist(asked, run.recipe.checkpoint.deadline_s)


def _newest_commit(run: Run) -> str:
    step = _committed_step(run)
    if step is not None:
        return f"the commit of step {step}"
    if run.lease.gone_s():
        return "its newest commit, or its start where it has none"
    return "its start: it has no commit yet"


def _committed_step(run: Run) -> int | None:
    """Give the step of the newest commit; None where there is none.

    Where nobody can look, or the folder is gone, it is the last that is known.
    """
    with suppress(StorageError):
        step = runs.newest_commit_step(run.state.storage, run.recipe.name)
        run.book.committed = step if step is not None else run.book.committed
    return run.book.committed


def _drop_optimizer(run: Run) -> None:
    """Drop the optimizer state of a run that has succeeded, and that run.json says has."""
    from cluster.commits import drop_optimizer

    again = f"thaw checkpoints gc {run.recipe.name} --drop-optimizer"
    try:
        freed = drop_optimizer(run.state.storage, run.recipe.name)
    except (CheckpointError, StorageError) as error:
        run.note(f"the optimizer state of the commits stays: {error}. Try {again}", "warning")
    else:
        told = f"{freed / 2**20:,.1f} MiB of optimizer state dropped from the commits"
        run.note(f"{told}: the run cannot go on any more")


def _close(run: Run, ended: Ended) -> None:
    """Write the end down, the state first: who reads the record finds the state as it is.

    A run that somebody else has taken over is left to them. Where the storage does not take it in
    time, or the folder is gone for good, the job's log alone tells of it.
    """
    if run.lease.is_lost() or run.lease.gone_s() > run.recipe.checkpoint.deadline_s:
        run.book.tell(ended)
        return
    ended = ended.model_copy(update={"worked_s": run.state.total_s(time.time())})
    try:
        _write_end(run, ended)
    except StorageError as error:
        LOG.warning("the end of the run could not be written: %s", error)
        run.book.tell(ended)


def _write_end(run: Run, ended: Ended) -> None:
    run.change(
        state=ended.state,
        message=ended.message,
        error=ended.error,
        exit_code=ended.exit_code,
        metrics=ended.metrics,
        step=ended.step,
        worked_s=ended.worked_s,
    )
    if run.next_save is not None:
        persist(partial(runs.write_state, run.state), run.recipe.checkpoint.deadline_s)
    if ended.state == "stopped":
        runs.clear_stop_request(run.state.storage, run.recipe.name)
    if ended.state == "succeeded" and not run.recipe.checkpoint.keep_optimizer:
        _drop_optimizer(run)
    run.book.write(ended)
    persist(run.book.settle, run.recipe.checkpoint.deadline_s)
