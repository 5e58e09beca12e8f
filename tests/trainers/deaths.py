"""Kill a rank at a chosen moment of a commit: when it is about to do a certain thing with a file.

Python tells an audit hook of every file that is opened, renamed or deleted, before that is done;
so whatever stands at the next moment has been done at this one.
"""

import os
import re
import resource
import signal
import sys
from collections.abc import Callable

from configs.schema import Recipe
from tests.trainers.runs import run_all

HALF_BYTES = 30_000


def die_at(event: str, pattern: str) -> None:
    """Let this process be killed just before an event about a file whose path matches."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _at(event, pattern, kill)


def die_within_a_write(pattern: str) -> None:
    """Let this process be killed when it has written the first bytes of such a file."""
    # The kernel ends a process that writes beyond this limit, unless it asks not to be.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    _at("open", pattern, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (HALF_BYTES,) * 2))


def _at(event: str, pattern: str, do: Callable[[], None]) -> None:
    place = re.compile(pattern)

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name == event and any(
            isinstance(each, str | os.PathLike) and place.search(os.fspath(each))
            for each in arguments
        ):
            do()

    sys.addaudithook(hook)


def run_and_die(
    rank: int,
    world_size: int,
    recipe: Recipe,
    data_dir: str,
    victim: int,
    event: str,
    pattern: str,
) -> None:
    """Run a recipe; one rank is killed on the way. The event `write` means within a write."""
    if rank == victim:
        if event == "write":
            die_within_a_write(pattern)
        else:
            die_at(event, pattern)
    run_all(rank, world_size, [recipe], data_dir, 1, 0)
