"""End a rank that makes no progress, with the stacks of all; who tries again is the driver's.

Each rank watches itself. One that stands in a collective only waits, maybe for good reason: it asks
the others, through small files in the folder of the attempt, and ends when none of them gets on.
Who stands elsewhere for too long ends at once. The first that ends calls the others, so that all
stacks are written.

Three things work apart: a thread that looks at the clock and never touches storage, another that
reads and writes the files, and two timers of C libraries for a rank whose Python does not run,
because somebody holds the interpreter's lock: the first writes the stacks, the second ends it.
"""

import faulthandler
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from configs.errors import HangError, NotFoundError, StorageError
from trainers import storage
from trainers.heartbeat import beat, last_beat, only_watch, patience
from trainers.masking import masked
from trainers.place import Place
from trainers.stacks import format_stacks, waits_for_others, where_stands

LOG = logging.getLogger(__name__)
GRACE_S = 20.0
"""Time that writing stacks may take before the process ends anyway; half of it is to wait for the
others: Ray ends them all when one has ended."""
SLOWEST_POLL_S = 2.0
ANSWER_POLLS = 6
"""Polls without an answer after which nobody is taken to get on."""


class Hang(BaseModel):
    """What a rank says that ends because of a hang; the content of rank-N.hang.json."""

    model_config = ConfigDict(frozen=True)
    rank: int
    silent_s: float
    """Seconds since it last made progress."""
    is_late: bool
    """Whether that is longer than it may be, not only another rank's call."""
    waits: bool
    """Whether it stands inside a collective."""
    doing: str
    """Where its thread stands."""


@contextmanager
def watched(logs: str, place: Place, limit_s: float) -> Iterator[None]:
    """Watch the calling thread; the process ends when it makes no progress for `limit_s`.

    `logs` is the folder of the attempt, which all ranks see.
    """
    watchdog = Watchdog(logs, place, limit_s)
    try:
        yield
    finally:
        watchdog.stop()


class Watchdog:
    """Watches the thread that makes it, until it is stopped."""

    def __init__(self, logs: str, place: Place, limit_s: float) -> None:
        self._logs, self._place, self._limit_s = logs, place, limit_s
        self._thread = threading.get_ident()
        self._on_gpu = place.device.startswith("cuda")
        self._poll_s = min(SLOWEST_POLL_S, limit_s / 20)
        self._grace_s = min(GRACE_S, 4 * limit_s)
        self._address = storage.join(logs, stacks_name(place.rank))
        self._stacks = _open_stacks(self._address)
        self._over = threading.Event()
        self._peers = _Peers(logs, place.rank, ANSWER_POLLS * self._poll_s)
        beat()
        self._since = time.monotonic()
        """Before this nothing counts: then began the watch, or ended a sleep of the machine."""
        self._arm()
        for name, loop in (("watchdog", self._watch), ("watchdog-peers", self._follow_peers)):
            threading.Thread(target=loop, name=name, daemon=True).start()

    def stop(self) -> None:
        """End the watch, and leave no empty file behind."""
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        path = Path(self._stacks.name)
        self._stacks.close()
        if path.exists() and not path.stat().st_size:
            path.unlink()

    def silent_s(self) -> float:
        """Give the seconds since the last progress, patience taken into account."""
        return (time.monotonic() - max(last_beat(), self._since)) / patience()

    def _arm(self) -> None:
        """Set the timers that need no Python; they go off unless they are set again in time."""
        limit = self._limit_s * patience() + 2 * self._poll_s
        faulthandler.dump_traceback_later(limit, file=self._stacks)
        signal.setitimer(signal.ITIMER_REAL, limit + self._grace_s)

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(self._poll_s):
            now = time.monotonic()
            self._arm()
            if now - looked > 5 * self._poll_s + 1:
                # Nobody ran, this thread neither: the process was stopped, or its machine slept.
                self._since = now
                self._stacks.truncate(0)
            looked = now
            silent = self.silent_s()
            waits = waits_for_others(self._thread, on_gpu=self._on_gpu)
            self._peers.is_late = silent >= self._limit_s
            early = max(self._limit_s / 2, self._limit_s - self._peers.answer_s)
            self._peers.asks = waits and silent >= early
            late = self._peers.is_late and (not waits or self._peers.is_unanswered())
            if late or self._peers.called:
                self._end(silent, is_late=self._peers.is_late, waits=waits)

    def _follow_peers(self) -> None:
        only_watch()
        while not self._over.wait(self._poll_s):
            try:
                self._peers.exchange()
            except (StorageError, NotFoundError, OSError) as error:
                # Training goes on without the storage while it can.
                LOG.warning("what the other ranks do is not known: %s", error)

    def _end(self, silent: float, *, is_late: bool, waits: bool) -> None:
        """Write down where this rank stands and end the process, whatever happens here."""
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)
        faulthandler.cancel_dump_traceback_later()
        rank, doing = self._place.rank, where_stands(self._thread)
        hang = Hang(rank=rank, silent_s=silent, is_late=is_late, waits=waits, doing=doing)
        told = f"rank {rank}, {silent:.0f} s without progress\n\n{format_stacks()}"
        self._stacks.write(masked(told))
        self._stacks.flush()
        LOG.error("rank %d made no progress for %.0f s: %s", rank, silent, doing)
        try:
            if storage.local_path(self._address) is None:
                storage.upload(Path(self._stacks.name), self._address)
            address = storage.join(self._logs, f"rank-{rank}.hang.json")
            storage.write_atomically(address, hang.model_dump_json().encode())
            self._wait_for_all()
        except (StorageError, NotFoundError, OSError) as error:
            LOG.error("the hang could not be written down: %s", error)
        finally:
            os._exit(HangError.exit_code)

    def _wait_for_all(self) -> None:
        limit = time.monotonic() + self._grace_s / 2
        while time.monotonic() < limit:
            names = storage.list_names(self._logs)
            if sum(name.endswith(".hang.json") for name in names) == self._place.world_size:
                return
            time.sleep(self._poll_s)


class _Peers:
    """What the ranks of an attempt tell each other: who asks, who gets on, who has ended."""

    def __init__(self, logs: str, rank: int, answer_s: float) -> None:
        self.answer_s = answer_s
        """Seconds within which somebody who gets on answers."""
        self.asks = self.is_late = self.called = False
        self._logs, self._rank = logs, rank
        self._mine = {kind: storage.join(logs, f"rank-{rank}.{kind}") for kind in ("asks", "alive")}
        self._written = {"asks": False, "alive": False}
        self._count = 0
        self._heard: dict[str, bytes] = {}
        self._answered: float | None = None
        """When the last answer came, or the question was asked."""

    def is_unanswered(self) -> bool:
        """Say whether this rank has asked and nobody said that he gets on."""
        answered = self._answered
        return answered is not None and time.monotonic() - answered > self.answer_s

    def exchange(self) -> None:
        """Read what others wrote, and write what they must know."""
        others = [n for n in storage.list_names(self._logs) if not self._is_mine(n)]
        self.called = self.called or any(name.endswith(".hang.json") for name in others)
        self._put("asks", self.asks)
        self._answered = self._listen(others) if self.asks else None
        asked = any(name.endswith(".asks") for name in others)
        self._count += 1
        self._put("alive", asked and not self.is_late and not self.asks)

    def _listen(self, others: list[str]) -> float:
        answered = self._answered if self._answered is not None else time.monotonic()
        for name in others:
            if name.endswith(".alive"):
                said = storage.read_bytes(storage.join(self._logs, name))
                if said != self._heard.get(name):
                    self._heard[name], answered = said, time.monotonic()
        return answered

    def _put(self, kind: str, holds: bool) -> None:
        if holds and (kind == "alive" or not self._written[kind]):
            storage.write_atomically(self._mine[kind], str(self._count).encode())
        elif self._written[kind] and not holds:
            storage.delete(self._mine[kind])
        self._written[kind] = holds

    def _is_mine(self, name: str) -> bool:
        return name.startswith(f"rank-{self._rank}.")


def stacks_name(rank: int) -> str:
    """Name the file that a rank's stacks go to."""
    return f"rank-{rank}.stacks.txt"


def _open_stacks(address: str) -> IO[str]:
    """Open the file while all is well; one for a remote place lies here until it is written."""
    path = storage.local_path(address)
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="thaw-stacks-")) / "stacks.txt"
    storage.make_parents(path)
    return path.open("a")
