"""Write one rank's share of a commit from a thread, and on rank 0 seal it with the manifest.

The process group belongs to the main thread, so the ranks agree through the storage: each leaves
what it wrote as a small file beside its share. Rank 0 waits for all of these and writes the
manifest last; what is no part of the commit then goes.
"""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event

from pydantic import BaseModel, ValidationError

from configs.errors import CheckpointError, NotFoundError, StorageError
from trainers import storage
from trainers.belongings import COMMIT, delete_ours
from trainers.fence import refuse_if_superseded
from trainers.manifest import FROZEN_RECORD, MANIFEST, Manifest, SavedFile, folder_of
from trainers.partitions import Piece
from trainers.persistence import is_full, persist
from trainers.place import Place
from trainers.retention import Policy, delete_surplus, free_room
from trainers.tensor_file import write_tensors

POLL_S = 0.02
SHARE = re.compile(r"rank-\d{5}\.json")
MARGIN_S = 5.0
"""How much longer rank 0 waits for the others than they try: the reason is theirs to tell."""


@dataclass(frozen=True)
class Part:
    """One folder to write: its name, this rank's share, and a manifest that lacks its files."""

    name: str
    pieces: Sequence[Piece]
    manifest: Manifest


@dataclass(frozen=True)
class Terms:
    """What holds for all parts of a commit."""

    serial: str
    """Which commit it is, the same on all ranks: nobody takes an older share for one of this."""
    deadline_s: float
    policy: Policy
    newest: str | None
    """The newest commit, known to be good."""
    damaged: tuple[str, ...]
    """Commits that were found damaged."""
    ready: Callable[[], None]
    """Brings the records of the steps so far to the storage; the manifest comes after them."""


class Share(BaseModel):
    """What one rank wrote."""

    model_config = FROZEN_RECORD
    serial: str
    file: SavedFile


class CommitThread:
    """One commit on its way to the storage."""

    def __init__(self, place: Place, parts: Sequence[Part], terms: Terms) -> None:
        """Begin to write; the pieces must not change until `is_over`."""
        self.trouble: str | None = None
        """Why the first try failed; None while none has."""
        self.freed: list[str] = []
        """Commits that were deleted because the disk was full."""
        self.num_bytes = 0
        """Size of the commit on all ranks, once it is sealed."""
        self._place, self._parts, self._terms = place, parts, terms
        self._started = time.monotonic()
        self._ended: float | None = None
        self._over = Event()
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._future: Future[None] = pool.submit(self._write)
        pool.shutdown(wait=False)

    def is_over(self) -> bool:
        """Say whether this rank has done its part, or failed."""
        return self._future.done()

    def ended(self) -> float:
        """Return when it was over, by time.monotonic(); now while it goes on."""
        return time.monotonic() if self._ended is None else self._ended

    def failure(self) -> BaseException | None:
        """Give what ended it before its end; None while it goes on."""
        return self._future.exception() if self._future.done() else None

    def wait(self, limit_s: float) -> None:
        """Wait until it is over, at most so long."""
        wait([self._future], limit_s)

    def abandon(self) -> None:
        """Let it end without another try."""
        self._over.set()

    def discard(self) -> None:
        """Delete what is not sealed, where that can be done."""
        for part in self._parts:
            folder = folder_of(self._place.run_dir, part.name)
            with suppress(StorageError):
                if not storage.exists(storage.join(folder, MANIFEST)):
                    delete_ours(folder, COMMIT)

    def _write(self) -> None:
        try:
            self._write_parts()
        finally:
            self._ended = time.monotonic()

    def _write_parts(self) -> None:
        for part in self._parts:
            self._persist(part, partial(self._write_share, part))
            if self._place.rank == 0:
                files = self._collect(part)
                self._persist(part, partial(self._seal, part, files))
        if self._place.rank == 0:
            self._clear_up()

    def _persist(self, part: Part, action: Callable[[], None]) -> None:
        left = self._terms.deadline_s - (time.monotonic() - self._started)
        try:
            persist(action, max(0.0, left), over=self._over, on_failure=self._take_note)
        except StorageError as error:
            raise self._given_up(part, str(error)) from error

    def _write_share(self, part: Part) -> None:
        folder = folder_of(self._place.run_dir, part.name)
        label = f"rank-{self._place.rank:05d}"
        tensors = {f"{p.name}|{p.what}|{p.offset}": p.values for p in part.pieces}
        saved = write_tensors(storage.join(folder, f"{label}.safetensors"), tensors)
        share = Share(serial=self._terms.serial, file=saved)
        storage.write_atomically(
            storage.join(folder, f"{label}.json"), share.model_dump_json().encode()
        )

    def _collect(self, part: Part) -> tuple[SavedFile, ...]:
        """Wait until every rank has told what it wrote."""
        found: dict[int, SavedFile] = {}
        limit = self._started + self._terms.deadline_s + MARGIN_S
        while True:
            for rank in range(self._place.world_size):
                share = self._read_share(part, rank) if rank not in found else None
                if share is not None and share.serial == self._terms.serial:
                    found[rank] = share.file
            missing = self._place.world_size - len(found)
            if not missing:
                return tuple(found[rank] for rank in range(self._place.world_size))
            if self._over.wait(POLL_S) or time.monotonic() > limit:
                raise self._given_up(part, f"{missing} ranks have not written their share")

    def _read_share(self, part: Part, rank: int) -> Share | None:
        address = storage.join(folder_of(self._place.run_dir, part.name), f"rank-{rank:05d}.json")
        with suppress(NotFoundError, StorageError, ValidationError):
            return Share.model_validate_json(storage.read_bytes(address))
        return None

    def _seal(self, part: Part, files: tuple[SavedFile, ...]) -> None:
        manifest = part.manifest.model_copy(update={"files": files, "time": time.time()})
        self._terms.ready()
        self._refuse_if_superseded()
        folder = folder_of(self._place.run_dir, part.name)
        storage.write_atomically(
            storage.join(folder, MANIFEST), manifest.model_dump_json(indent=1).encode()
        )
        self.num_bytes = manifest.num_bytes

    def _clear_up(self) -> None:
        """Delete what is no part of this commit, then old ones; the next commit tries again."""
        run_dir = self._place.run_dir
        with suppress(StorageError):
            self._refuse_if_superseded()
            for part in self._parts:
                folder = folder_of(run_dir, part.name)
                for name in storage.list_names(folder):
                    if SHARE.fullmatch(name):
                        storage.delete(storage.join(folder, name))
            delete_surplus(run_dir, self._terms.policy, self._terms.damaged)

    def _take_note(self, error: StorageError) -> None:
        """Remember what went wrong first; make room where there is none."""
        self.trouble = self.trouble or str(error)
        if is_full(error) and self._terms.newest is not None:
            with suppress(StorageError, CheckpointError):
                self._refuse_if_superseded()
                self.freed += free_room(self._place.run_dir, self._terms.newest)

    def _refuse_if_superseded(self) -> None:
        place = self._place
        refuse_if_superseded(place.run_dir, place.attempt, place.claim)

    def _given_up(self, part: Part, found: str) -> StorageError:
        newest = self._terms.newest
        before = f"the newest commit is {newest}" if newest else "there is no commit before it"
        return StorageError(
            f"{part.name} could not be committed within checkpoint.deadline_s "
            f"({self._terms.deadline_s:g} s), {before}: {found}. "
            "Make room on the storage or repair it"
        )
