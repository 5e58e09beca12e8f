"""Fine-tune as a run does, with a worker that dies on the way; what it proves, launcher says."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from configs.errors import StorageError
from configs.records import Ended, Record, Step
from configs.schema import Recipe
from trainers.manifest import list_commits
from trainers.place import Place

DYING = "cluster.verification:finetune_and_die"
LAST_STEP = 3
"""Step after which the first attempt loses a worker; a commit of an earlier one has begun."""
POLL_S = 0.05


def finetune_and_die(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Do what trainers.finetune does; rank 0 of the first attempt ends itself with signal 9."""
    from trainers.finetune import finetune

    def report_and_die(record: Record) -> None:
        report(record)
        if is_the_end(record, place.attempt):
            wait_for_a_commit(place.run_dir, recipe.checkpoint.deadline_s)
            os.kill(os.getpid(), signal.SIGKILL)

    return finetune(recipe, place, report_and_die, stop_requested)


def is_the_end(record: Record, attempt: int) -> bool:
    """Say whether the worker that reports this is to die."""
    return isinstance(record, Step) and record.step == LAST_STEP and attempt == 1


def wait_for_a_commit(run_dir: str, limit_s: float) -> None:
    """Wait for what the next attempt is to go on from, which a thread writes; seconds at most."""
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        with suppress(StorageError):  # the thread tries again, too
            if list_commits(run_dir):
                return
        time.sleep(POLL_S)
