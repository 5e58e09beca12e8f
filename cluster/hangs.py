"""Tell from the folder of an attempt which rank hung; what the ranks write is watchdog.py's."""

import re
import time
from collections.abc import Sequence

from cluster.failures import Failure
from configs.errors import HangError, NotFoundError, StorageError
from trainers import storage as files
from trainers.watchdog import Hang, stacks_name

LOOK_S = 1.0
END_LIMIT_S = 60.0
"""Time that the processes of an attempt have to end by themselves after a hang was told."""


def read_hang(logs: str) -> Failure | None:
    """Say which rank made no progress and where it stands; None where none did."""
    names = files.list_names(logs)
    told = [
        Hang.model_validate_json(files.read_bytes(files.join(logs, name)))
        for name in names
        if name.endswith(".hang.json")
    ]
    ranks = {int(found[1]) for name in names if (found := re.fullmatch(r"rank-(\d+)\.json", name))}
    mute = sorted(ranks - {hang.rank for hang in told})
    stuck = [rank for rank in mute if _has_stacks(logs, names, rank)]
    if not told and not stuck:
        return None
    return Failure(False, HangError.exit_code, HangError.__name__, _sentence(logs, told, mute))


class EndWatch:
    """Notices when an attempt goes on existing after its ranks hung."""

    def __init__(self, logs: str) -> None:
        self._logs = logs
        self._next_look = 0.0
        self._since: float | None = None

    def overdue(self) -> Failure | None:
        """Give the hang of an attempt whose processes should have ended by now."""
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_S
        if self._since is None:
            if not any(name.endswith(".hang.json") for name in files.list_names(self._logs)):
                return None
            self._since = now
        return read_hang(self._logs) if now - self._since > END_LIMIT_S else None


def _has_stacks(logs: str, names: Sequence[str], rank: int) -> bool:
    """Say whether the stacks of a rank were written by a timer, without Python."""
    name = stacks_name(rank)
    try:
        return name in names and bool(files.read_bytes(files.join(logs, name)))
    except (NotFoundError, StorageError):
        return False


def _sentence(logs: str, told: list[Hang], mute: list[int]) -> str:
    said = [
        f"rank {hang.rank} made no progress for {hang.silent_s:.0f} s in {hang.doing}"
        for hang in told
        if hang.is_late and not hang.waits
    ]
    said += [f"rank {rank} does not answer: its Python does not run" for rank in mute]
    waiting = [f"rank {h.rank} in {h.doing}" for h in told if h.waits]
    if waiting:
        lead = "in collectives wait" if said else "all ranks wait for each other:"
        said.append(f"{lead} {', '.join(waiting)}")
    return (
        f"{'; '.join(said)}. Read {logs}/rank-*.stacks.txt, or raise faults.watchdog_s where such "
        "work may take that long"
    )
