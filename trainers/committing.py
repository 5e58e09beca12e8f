"""Commit what a rank's live run is while training goes on; at most one commit is on its way.

Training waits only while the state is copied into host memory. The next commit, the end of a phase
and whatever reads commits wait for the one on its way with `settle`.
"""

import time
import uuid
from collections.abc import Callable, Sequence

import torch.distributed as dist

from configs.errors import THAW_ERRORS, TrainingError
from configs.records import Committed, Note, Record
from configs.run_sections import Checkpoint
from trainers.agreement import reduced
from trainers.commit_thread import CommitThread, Part, Terms
from trainers.host_memory import HostMemory
from trainers.manifest import step_of
from trainers.place import Place
from trainers.retention import Policy

POLL_S = 0.01
LATE_S = 60.0
"""Seconds after which a person hears that a commit is still being written."""
LAST_CHANCE_S = 3.0
"""How long a commit on its way may still go on when the run ends without it."""


class Commits:
    """The commits of one rank's live run."""

    def __init__(
        self,
        place: Place,
        asked: Checkpoint,
        report: Callable[[Record], None],
        ready: Callable[[], None],
    ) -> None:
        """Commit nothing yet. Collective: every rank constructs it.

        `ready` brings the records so far to the storage.
        """
        self.newest: str | None = None
        """The newest commit that is known to be good."""
        self.damaged: tuple[str, ...] = ()
        """Commits that are newer and damaged."""
        self.memory = HostMemory()
        self._place, self._asked = place, asked
        self._report, self._ready = report, ready
        # An attempt may open the run more than once and commit a step again.
        opened = [uuid.uuid4().hex]
        dist.broadcast_object_list(opened, src=0)
        self._opened, self._number = opened[0], 0
        self._thread: CommitThread | None = None
        self._name: str | None = None
        self._started = self._stalled = 0.0
        self._is_told = self._is_warned = False

    def begin(self, parts: Sequence[Part], policy: Policy, started: float) -> None:
        """Write parts while training goes on; the last one is the commit of a step.

        Collective: every rank calls this, and `settle` before. `started` is the time.monotonic()
        since when training waits.
        """
        self._start(parts, policy)
        self._name = parts[-1].name
        self._started, self._stalled = started, time.monotonic() - started

    def write(self, parts: Sequence[Part], policy: Policy) -> None:
        """Write folders that are no commit of a step, if any, and wait for them. Collective."""
        self.settle()
        if parts:
            self._start(parts, policy)
            self._name = None
            self.settle()

    def has_failed(self) -> bool:
        """Say whether this rank could not do its part of the commit on its way."""
        return self._thread is not None and self._thread.failure() is not None

    def notice(self) -> None:
        """Report what became of the commit on its way; rank 0 knows."""
        thread = self._thread
        if thread is None or self._place.rank:
            return
        if self._name is None:
            return
        is_over, seconds = thread.is_over(), thread.ended() - self._started
        late = thread.trouble is not None or seconds > LATE_S
        if late and not is_over and not self._is_warned:
            self._is_warned = True
            found = thread.trouble or f"it takes {seconds:.0f} s already"
            self._warn(
                f"{self._name} is late: {found}. Training goes on; the commit is tried again for "
                f"checkpoint.deadline_s ({self._asked.deadline_s:g} s)"
            )
        if is_over and thread.failure() is None and not self._is_told:
            self._is_told = True
            if thread.trouble is not None and not self._is_warned:
                self._warn(f"{self._name} was not written at the first try: {thread.trouble}")
            if thread.freed:
                self._warn(f"the disk was full: {', '.join(thread.freed)} deleted to make room")
            self._report(
                Committed(
                    time=time.time(),
                    step=step_of(self._name),
                    checkpoint=self._name,
                    seconds=seconds,
                    stalled_s=self._stalled,
                    num_bytes=thread.num_bytes,
                )
            )

    def settle(self) -> None:
        """Wait for the commit on its way. Collective: every rank calls this.

        Raises StorageError on all ranks when one could not write, LockedError when another attempt
        has taken the run over.
        """
        thread = self._thread
        if thread is None:
            return
        went_well = self._wait_for_all(thread)
        mine = thread.failure()
        if not went_well:
            thread.abandon()
            thread.wait(LAST_CHANCE_S)
        if mine is not None and not isinstance(mine, THAW_ERRORS):
            mine = TrainingError(
                f"a commit failed: {type(mine).__name__}: {mine}. The commits before it are whole: "
                "report this as a defect"
            )
        everyone: list[BaseException | None] = [None] * self._place.world_size
        dist.all_gather_object(everyone, mine)
        failed = [failure for failure in everyone if failure is not None]
        if not failed:
            self.notice()
            self.newest, self.damaged = self._name or self.newest, ()
        elif self._place.rank == 0:
            thread.discard()
        self._thread = None
        if failed:
            raise failed[0] from thread.failure()

    def close(self) -> None:
        """Let a commit go that the run ends without; it gets a last moment to be written."""
        if self._thread is not None:
            self._thread.wait(LAST_CHANCE_S)
            self.notice()
            self._thread.abandon()

    def _start(self, parts: Sequence[Part], policy: Policy) -> None:
        assert self._thread is None, "one commit at a time"
        self._number += 1
        self._is_told = self._is_warned = False
        serial, deadline_s = f"{self._opened}-{self._number}", self._asked.deadline_s
        terms = Terms(serial, deadline_s, policy, self.newest, self.damaged, self._ready)
        self._thread = CommitThread(self._place, parts, terms)

    def _wait_for_all(self, thread: CommitThread) -> bool:
        """Wait until all ranks have done their part; False as soon as one has failed."""
        while True:
            self.notice()
            mine = [int(thread.is_over()), int(thread.failure() is not None)]
            over, failed = reduced(mine).tolist()
            if failed:
                return False
            if over == self._place.world_size:
                return True
            time.sleep(POLL_S)

    def _warn(self, text: str) -> None:
        self._report(Note(time=time.time(), level="warning", text=text))
