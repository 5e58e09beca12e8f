"""Let one driver at a time work on a run, and show that it is alive; runs.py says what a run is.

Whoever works on a run creates the next numbered file in `lock`; an attempt bears the number of its
claim, and what older claims would still write is refused (trainers/fence.py). A claim is good as
long as no higher one is there, and is taken over when its driver stops beating.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from configs.errors import LockedError, NotFoundError, StorageError
from trainers import storage as files
from trainers.fence import FOLDER, is_superseded, read_claim

BEAT_S = 5.0
BEAT_LIMIT_S = 15.0
POLL_S = 0.3


def claim(folder: str, number: int, job_id: str) -> None:
    """Take a number that nobody has; raises LockedError when somebody was faster."""
    content = json.dumps({"job_id": job_id, "time": time.time()}).encode()
    if not files.create_exclusively(files.join(folder, FOLDER, f"{number:04d}"), content):
        raise LockedError(f"Somebody else has just taken {folder}. See `thaw status`")


def beat(folder: str) -> None:
    """Show that the driver is alive; called every BEAT_S."""
    content = json.dumps({"time": time.time()}).encode()
    files.write_atomically(files.join(folder, "beat.json"), content)


def beats(folder: str, limit_s: float = BEAT_LIMIT_S) -> bool:
    """Watch whether the driver still shows that it is alive; takes up to `limit_s`.

    Two reads are compared, not a time with our clock: machines disagree about the time.
    """
    address = files.join(folder, "beat.json")
    before = _read(address)
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        if _read(address) not in (before, b""):
            return True
        time.sleep(POLL_S)
    return False


def beat_age_s(folder: str, now: float) -> float | None:
    """Return how long ago the driver showed that it is alive, by its clock; None for no sign."""
    try:
        told = json.loads(files.read_bytes(files.join(folder, "beat.json")))
        return now - float(told["time"])
    except (NotFoundError, StorageError, ValueError, TypeError, KeyError):
        return None


def _read(address: str) -> bytes:
    try:
        return files.read_bytes(address)
    except NotFoundError:
        return b""


class Lease:
    """The right of this driver to work on a run."""

    def __init__(self, folder: str, number: int) -> None:
        """Hold the claim of that number."""
        self.number = number
        """The newest claim of this driver."""
        self.lost = False
        """Whether somebody else was seen to have taken the run over."""
        self.claim = ""
        """What the file of that claim says."""
        self._folder = folder
        self._gone_since: float | None = None
        self._turn = threading.Lock()
        with suppress(StorageError):
            self.claim = read_claim(folder, number)

    def renew(self, job_id: str) -> int:
        """Take the next number, for another attempt; raises LockedError when somebody else has."""
        with self._turn:
            claim(self._folder, self.number + 1, job_id)
            self.number += 1
            self.claim = read_claim(self._folder, self.number)
            return self.number

    def is_lost(self) -> bool:
        """Say whether somebody else has taken the run over; False while the storage is silent.

        Another run of the same name counts as well, where the folder of this one was moved away.
        """
        with suppress(StorageError), self._turn:
            self.lost = is_superseded(self._folder, self.number, self.claim)
            is_here = bool(read_claim(self._folder, self.number))
            since = self._gone_since if self._gone_since is not None else time.monotonic()
            self._gone_since = None if is_here else since
        return self.lost

    def gone_s(self) -> float:
        """Return for how long the claim has not been found; 0 while it was there at the last look.

        Then the folder was moved or deleted: a storage that does not answer is no look.
        """
        since = self._gone_since
        return 0.0 if since is None else time.monotonic() - since


@contextmanager
def beating(folder: str, lease: Lease | None = None, every_s: float = BEAT_S) -> Iterator[None]:
    """Show every few seconds, from a thread, that the driver is alive and has not lost the run.

    A beat that the storage does not take is left out: the next one comes soon.
    """
    over = threading.Event()

    def keep_beating() -> None:
        while not over.is_set() and not (lease is not None and lease.is_lost()):
            try:
                beat(folder)
            except StorageError:
                logging.getLogger(__name__).warning(
                    "no sign of life could be written into %s", folder
                )
            over.wait(every_s)

    thread = threading.Thread(target=keep_beating, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
