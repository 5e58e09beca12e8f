"""Fine-tune as a run does, with a worker that dies on the way; what it proves, launcher says."""

import os
import signal
from collections.abc import Callable

from configs.records import Ended, Record, Step
from configs.schema import Recipe
from trainers.place import Place

DYING = "cluster.verification:finetune_and_die"
LAST_STEP = 3
"""Step after which the first attempt loses a worker."""


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
            os.kill(os.getpid(), signal.SIGKILL)

    return finetune(recipe, place, report_and_die, stop_requested)


def is_the_end(record: Record, attempt: int) -> bool:
    """Say whether the worker that reports this is to die."""
    return isinstance(record, Step) and record.step == LAST_STEP and attempt == 1
