"""List runs of several storages side by side: one that does not answer hides no run of another."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import THAW_ERRORS, NotFoundError

if TYPE_CHECKING:
    from cluster.runs import RunState

LIMIT_S = 10.0
"""How long a storage is waited for."""


@dataclass(frozen=True)
class Listed:
    """The runs of all storages that answered, oldest first, and a sentence for each other one."""

    states: "Sequence[RunState]"
    silent: Sequence[str]


def list_places(
    places: Sequence[str],
    list_runs: "Callable[[str], Sequence[RunState]]",
    limit_s: float = LIMIT_S,
) -> Listed:
    """Ask all storages at once; a folder that is gone has no runs and is not told of."""
    answers: dict[str, Sequence[RunState] | Exception] = {}

    def ask(place: str) -> None:
        try:
            answers[place] = list_runs(place)
        except THAW_ERRORS as error:
            answers[place] = error

    # Of a library that waits for a network nobody gets a thread back: these end with the process.
    threads = [threading.Thread(target=ask, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    states: list[RunState] = []
    silent = []
    for place in places:
        answer = answers.get(place)
        if answer is None:
            silent.append(f"{place} has not answered for {limit_s:.0f} s: its runs are left out")
        elif isinstance(answer, NotFoundError):
            continue
        elif isinstance(answer, Exception):
            silent.append(f"the runs of {place} are left out: {str(answer).rstrip('.')}")
        else:
            states += answer
    unique = {(state.storage, state.name): state for state in states}
    return Listed(sorted(unique.values(), key=lambda state: state.created), silent)
