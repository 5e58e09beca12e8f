"""Read a job's log while it grows; what the lines say about the run is the reader's."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from configs.records import Record, read_record

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

POLL_S = 0.25
STATUS_EVERY_POLLS = 4
# Ray's own stream of a log lags up to two seconds behind, but sends each line once. A short log is
# read whole again and again instead, so that a person sees the start and the end at once.
WHOLE_LOG_CHARACTERS = 256 * 1024
BANNER = re.compile(r"INFO job_manager\.py|Running entrypoint for job ")


def read_job_log(client: "JobSubmissionClient", job_id: str) -> Iterator[Record | str]:
    """Yield records and other lines of a job's log until the job has ended."""
    for line in _lines(client, job_id):
        if not BANNER.search(line):
            yield as_record(line)


def as_record(line: str) -> Record | str:
    """Read a line as a record if it is one."""
    if not line.startswith('{"v":'):
        return line
    try:
        return read_record(line)
    except ValidationError:
        return line


def _lines(client: "JobSubmissionClient", job_id: str) -> Iterator[str]:
    read = 0
    polls = 0
    while True:
        ended = polls % STATUS_EVERY_POLLS == 0 and client.get_job_status(job_id).is_terminal()
        text = client.get_job_logs(job_id)
        end = len(text) if ended else text.rfind("\n") + 1
        yield from text[read:end].splitlines()
        read = max(read, end)
        if ended:
            return
        if len(text) > WHOLE_LOG_CHARACTERS:
            yield from _streamed(client, job_id, read)
            return
        polls += 1
        time.sleep(POLL_S)


def _streamed(client: "JobSubmissionClient", job_id: str, skip: int) -> Iterator[str]:
    """Yield the lines of Ray's log stream after the first `skip` characters."""
    loop = asyncio.new_event_loop()
    stream: AsyncIterator[str] = client.tail_job_logs(job_id).__aiter__()
    held = ""
    try:
        while True:
            try:
                chunk = loop.run_until_complete(anext(stream))
            except StopAsyncIteration:
                break
            dropped = min(skip, len(chunk))
            skip -= dropped
            *whole, held = (held + chunk[dropped:]).split("\n")
            yield from whole
        if held:
            yield held
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
