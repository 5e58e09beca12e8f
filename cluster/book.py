"""Keep the records of a job: into a file of the run, and from there to the job's log."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from cluster.tail import RecordTail
from configs.errors import StorageError
from configs.records import Committed, Record, read_lines
from trainers import storage as files

LOG = logging.getLogger(__name__)
PAUSE_S = 1.0
COMMIT = '"kind":"commit"'


class Book:
    """The records of one job, in the order in which they were written.

    Everything passes through the file, the workers' records too, so the job's log and the file say
    the same; a client that cannot see the storage reads the log.
    """

    def __init__(self, address: str, log: TextIO) -> None:
        self.address = address
        self.committed: int | None = None
        """The step of the last commit that the workers told of."""
        self._log = log
        self._waiting: list[str] = []
        self._next_try = 0.0
        self._tail = RecordTail(address)
        with suppress(StorageError):
            self._tail.new_lines()

    def write(self, record: Record) -> None:
        """Write a record of the driver; only while no worker writes.

        What the storage does not take now is tried again by `echo`.
        """
        self._waiting.append(record.model_dump_json())
        self._next_try = 0.0
        self.echo()

    def echo(self) -> None:
        """Copy what is new in the file to the job's log."""
        if time.monotonic() < self._next_try:
            return
        try:
            self.settle()
        except StorageError as error:
            LOG.warning("records could not be written yet, they are tried again: %s", error)
            self._next_try = time.monotonic() + PAUSE_S

    def tell(self, record: Record) -> None:
        """Write a record into the job's log alone."""
        self._log.write(f"{record.model_dump_json()}\n")
        self._log.flush()

    def settle(self) -> None:
        """Write what waits, and copy what is new; raises StorageError where that cannot be done."""
        if self._waiting:
            files.append_lines(self.address, self._waiting)
            self._waiting = []
        if lines := self._tail.new_lines():
            self._log.write("".join(f"{line}\n" for line in lines))
            self._take_note(lines)
            self._log.flush()

    def _take_note(self, lines: Sequence[str]) -> None:
        records, _ = read_lines(line for line in lines if COMMIT in line)
        for record in records:
            if isinstance(record, Committed):
                self.committed = record.step
