"""Read a job's log while it grows; what the lines say about the run is the reader's."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from configs.records import Note, Record, read_record, split_lines

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

POLL_S = 0.25
RECONNECT_S = 1.0
PATIENCE_S = 300.0
"""How long a cluster may not answer: a laptop changes networks, a head node is being replaced."""
STATUS_EVERY_POLLS = 4
# Ray's own stream of a log lags up to two seconds behind, but sends each line once. A short log is
# read whole again and again instead, so that a person sees the start and the end at once.
WHOLE_LOG_CHARACTERS = 256 * 1024
BANNER = re.compile(r"INFO job_manager\.py|Running entrypoint for job ")


def read_job_log(client: "JobSubmissionClient", job_id: str) -> Iterator[Record | str]:
    """Yield records and other lines of a job's log until the job has ended.

    A cluster that does not answer for a while is asked again, and reading goes on where it was; a
    note says so. Raises what the connection raises once PATIENCE_S are over.
    """
    reader = _Reader(client, job_id)
    while True:
        try:
            for line in reader.lines():
                if not BANNER.search(line):
                    yield as_record(line)
            return
        except _network_errors() as error:
            waited = time.monotonic() - reader.heard
            if waited > PATIENCE_S:
                raise
            if not reader.is_lost:
                reader.is_lost = True
                yield _note(f"the cluster does not answer ({error}); the run goes on by itself")
            time.sleep(RECONNECT_S)


def as_record(line: str) -> Record | str:
    """Read a line as a record if it is one."""
    if not line.startswith('{"v":'):
        return line
    try:
        return read_record(line)
    except ValidationError:
        return line


class _Reader:
    """What was read of a log, so that reading can begin again behind it."""

    def __init__(self, client: "JobSubmissionClient", job_id: str) -> None:
        self.heard = time.monotonic()
        """When the cluster answered last."""
        self.is_lost = False
        """Whether it does not answer now."""
        self._client = client
        self._job_id = job_id
        self._read = 0
        """Characters that were given as lines."""

    def lines(self) -> Iterator[str]:
        """Yield the lines that were not given yet, until the job has ended."""
        polls = 0
        while True:
            look = polls % STATUS_EVERY_POLLS == 0
            ended = look and self._client.get_job_status(self._job_id).is_terminal()
            text = self._client.get_job_logs(self._job_id)
            self._answered()
            end = len(text) if ended else text.rfind("\n") + 1
            new = text[self._read : end]
            self._read = max(self._read, end)
            yield from split_lines(new)
            if ended:
                return
            if len(text) > WHOLE_LOG_CHARACTERS:
                yield from self._streamed()
                return
            polls += 1
            time.sleep(POLL_S)

    def _streamed(self) -> Iterator[str]:
        """Yield the lines of Ray's log stream that were not given yet."""
        loop = asyncio.new_event_loop()
        stream = cast("AsyncGenerator[str, None]", self._client.tail_job_logs(self._job_id))
        held, skip = "", self._read
        try:
            while True:
                try:
                    chunk = loop.run_until_complete(anext(stream))
                except StopAsyncIteration:
                    break
                self._answered()
                dropped = min(skip, len(chunk))
                skip -= dropped
                *whole, held = (held + chunk[dropped:]).split("\n")
                for line in whole:
                    self._read += len(line) + 1
                    yield line
            if held:
                yield held
        finally:
            # Who has read the last record reads no further: the connection is open still.
            loop.run_until_complete(stream.aclose())
            loop.close()

    def _answered(self) -> None:
        self.heard, self.is_lost = time.monotonic(), False


def _network_errors() -> tuple[type[Exception], ...]:
    import aiohttp
    import requests

    return (
        ConnectionError,
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        aiohttp.ClientConnectionError,
    )


def _note(text: str) -> Note:
    return Note(time=time.time(), level="warning", text=text)
