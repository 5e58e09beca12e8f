"""What a driver knows of its run and writes down; what it does stands in finetuning.py."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import runs
from cluster.book import Book
from cluster.lock import Lease
from configs.errors import LockedError, StorageError
from configs.records import Note
from configs.schema import Recipe

if TYPE_CHECKING:
    from cluster.attempts import Fit

RETRY_AFTER_S = 1.0


@dataclass
class Run:
    """A run while its driver works on it."""

    recipe: Recipe
    state: runs.RunState
    book: Book
    function: str
    folder: str
    lease: Lease
    allow_change: bool = False
    """Whether the run may go on where its answer will be another."""
    data_dir: str | None = None
    """The prepared set, once this driver knows that it is there."""
    fit: "Fit | None" = None
    """The latest attempt."""
    hangs: int = 0
    """Attempts of this driver whose ranks made no progress."""
    must_end_by: float | None = None
    """When the driver ends without a commit, by time.monotonic(); None lets the run go on."""
    next_save: float | None = None
    """When run.json is to be tried again, by time.monotonic(); None where it is as it should be."""

    def change(self, **changes: object) -> None:
        """Write run.json with some fields changed, now or as soon as the storage takes it."""
        self.state = runs.changed_state(self.state, **changes)
        self.next_save = 0.0
        self.save()

    def save(self) -> None:
        """Write run.json where that is still to be done."""
        if self.next_save is None or time.monotonic() < self.next_save:
            return
        try:
            runs.write_state(self.state)
            self.next_save = None
        except StorageError:
            self.next_save = time.monotonic() + RETRY_AFTER_S

    def next_attempt(self) -> int:
        """Give the next attempt its number: that of a claim nobody else has.

        Raises LockedError when somebody else has taken the run over.
        """
        if self.state.attempts >= self.lease.number:
            self.lease.renew(self.state.job_ids[-1])
        return self.lease.number

    def refuse_if_lost(self) -> None:
        """Raise LockedError when somebody else was seen to have taken the run over."""
        if self.lease.lost:
            raise LockedError(
                f"Somebody else took {self.folder} over while this driver slept. Leave it to them"
            )

    def note(self, text: str, level: str = "info", **about: object) -> None:
        """Tell a person one sentence, and programs what it is `about`: fields of Note."""
        said = {"time": time.time(), "level": level, "text": text, **about}
        self.book.write(Note.model_validate(said))
