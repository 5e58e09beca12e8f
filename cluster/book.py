"""Keep the records of a job: into a file of the run, and from there to the job's log."""

from typing import TextIO

from cluster.tail import RecordTail
from configs.records import Record
from trainers import storage as files


class Book:
    """The records of one job, in the order in which they were written.

    Everything passes through the file, the workers' records too, so the job's log and the file say
    the same; a client that cannot see the storage reads the log.
    """

    def __init__(self, address: str, log: TextIO) -> None:
        self.address = address
        self._log = log
        self._tail = RecordTail(address)
        self._tail.new_lines()

    def write(self, record: Record) -> None:
        """Write a record of the driver; only while no worker writes."""
        files.append_lines(self.address, [record.model_dump_json()])
        self.echo()

    def echo(self) -> None:
        """Copy what is new in the file to the job's log."""
        if lines := self._tail.new_lines():
            self._log.write("".join(f"{line}\n" for line in lines))
            self._log.flush()
