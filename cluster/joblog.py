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
TOLD_AFTER_S = 10.0
"""How long a cluster is silent until that is said; again after twice as long each time."""
ALIVE_EVERY_S = 5.0
"""How long a stream may bring nothing until its job is asked for in another way."""
PATIENCE_S = 300.0
"""How long a cluster may not answer: a laptop changes networks, a head node is being replaced."""
STATUS_EVERY_POLLS = 4
# Ray's own stream of a log lags up to two seconds behind, but sends each line once. A short log is
# read whole again and again instead, so that a person sees the start and the end at once.
WHOLE_LOG_CHARACTERS = 256 * 1024
BANNER = re.compile(r"INFO job_manager\.py|Running entrypoint for job ")


def read_job_log(client: "JobSubmissionClient", job_id: str) -> Iterator[Record | str]:
    """Yield records and other lines of a job's log until the job has ended.

    A cluster that does not answer is asked again, and reading continues where it was. Notes tell of
    it while it lasts and when it is over. Raises what the connection raises after PATIENCE_S.
    """
    reader = _Reader(client, job_id)
    silence = _Silence()
    while True:
        try:
            for line in reader.lines():
                yield from silence.over()
                if line is not None and not BANNER.search(line):
                    yield as_record(line)
            return
        except _network_errors():
            waited = time.monotonic() - reader.heard
            if waited > PATIENCE_S:
                raise
            yield from silence.lasts(waited)
            time.sleep(RECONNECT_S)


def as_record(line: str) -> Record | str:
    """Read a line as a record if it is one."""
    if not line.startswith('{"v":'):
        return line
    try:
        return read_record(line)
    except ValidationError:
        return line


class _Silence:
    """What is said of a cluster that does not answer, while it lasts and at its end."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._next = 0.0

    def lasts(self, waited: float) -> Iterator[Note]:
        """Yield a note if one is due, after that many seconds without an answer."""
        self._waited = max(waited, 0.001)
        if waited >= self._next:
            self._next = max(TOLD_AFTER_S, 2 * waited)
            yield _note(
                f"no answer from the cluster{f' for {waited:.0f} s' if waited >= 1 else ''}; it is "
                f"asked again for {PATIENCE_S - waited:.0f} s more. The run goes on by itself"
            )

    def over(self) -> Iterator[Note]:
        """Yield a note if the cluster was silent until now."""
        if self._waited:
            yield _note(f"the cluster answers again, after {self._waited:.0f} s")
            self._waited = self._next = 0.0


class _Reader:
    """What was read of a log, so that reading can begin again behind it."""

    def __init__(self, client: "JobSubmissionClient", job_id: str) -> None:
        self.heard = time.monotonic()
        """When the cluster answered last."""
        self._client = client
        self._job_id = job_id
        self._read = 0
        """Characters that were given as lines."""

    def lines(self) -> Iterator[str | None]:
        """Yield the lines that were not read yet, until the job has ended; None for an answer."""
        polls = 0
        while True:
            look = polls % STATUS_EVERY_POLLS == 0
            ended = look and self._client.get_job_status(self._job_id).is_terminal()
            text = self._client.get_job_logs(self._job_id)
            self._answered()
            yield None
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

    def _streamed(self) -> Iterator[str | None]:
        """Yield the lines of Ray's log stream that were not read yet.

        A stream over a cut line brings nothing and raises nothing, as that of a quiet job does: the
        job is asked for beside it.
        """
        loop = asyncio.new_event_loop()
        stream = cast("AsyncGenerator[str, None]", self._client.tail_job_logs(self._job_id))
        held, skip = "", self._read
        coming = loop.create_task(_next_chunk(stream))
        try:
            while True:
                while not loop.run_until_complete(_arrived(coming)):
                    self._client.get_job_status(self._job_id)
                    self._answered()
                    yield None
                chunk = coming.result()
                if chunk is None:
                    break
                self._answered()
                yield None
                dropped = min(skip, len(chunk))
                skip -= dropped
                *whole, held = (held + chunk[dropped:]).split("\n")
                for line in whole:
                    self._read += len(line) + 1
                    yield line
                coming = loop.create_task(_next_chunk(stream))
            if held:
                yield held
        finally:
            # Who has read the last record reads no further: the connection is open still.
            loop.run_until_complete(_closed(coming, stream))
            loop.close()

    def _answered(self) -> None:
        self.heard = time.monotonic()


async def _next_chunk(stream: "AsyncGenerator[str, None]") -> str | None:
    """Return the next part of a stream, None at its end."""
    return await anext(stream, None)


async def _arrived(coming: "asyncio.Task[str | None]") -> bool:
    """Whether a part has come within ALIVE_EVERY_S; it is waited for on, if not."""
    done, _ = await asyncio.wait({coming}, timeout=ALIVE_EVERY_S)
    return bool(done)


async def _closed(coming: "asyncio.Task[str | None]", stream: "AsyncGenerator[str, None]") -> None:
    coming.cancel()
    await asyncio.wait({coming})
    if not coming.cancelled():
        coming.exception()  # it was raised already, or nobody wants it any more
    await stream.aclose()


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
