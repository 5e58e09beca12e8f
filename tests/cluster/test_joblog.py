"""Lines of a job's log."""

from collections.abc import AsyncIterator
from enum import Enum

from cluster.joblog import WHOLE_LOG_CHARACTERS, as_record, read_job_log
from configs.records import Note, Record

NOTE = Note(time=1.0, level="info", text="hello")


class Status(Enum):
    """How a fake job stands."""

    RUNNING = 0
    ENDED = 1

    def is_terminal(self) -> bool:
        return self is Status.ENDED


class FakeJobs:
    """A job whose log grows by one part at each look."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts
        self.looks = 0

    def get_job_status(self, job_id: str) -> Status:
        return Status.ENDED if self.looks >= len(self.parts) else Status.RUNNING

    def get_job_logs(self, job_id: str) -> str:
        self.looks += 1
        return "".join(self.parts[: self.looks])

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        text = "".join(self.parts)
        for start in range(0, len(text), 1000):
            yield text[start : start + 1000]


def read(*parts: str) -> list[Record | str]:
    return [*read_job_log(FakeJobs(*parts), "one.01")]


def test_records_are_read_and_banners_left_out() -> None:
    line = NOTE.model_dump_json()
    banner = "2026-01-01 INFO job_manager.py:581 -- Runtime env is setting up.\n"
    start = "Running entrypoint for job one.01: python -m cluster.driver finetune\n"
    assert read(banner, start, f"{line}\nTraceback", "\nlast") == [NOTE, "Traceback", "last"]


def test_line_in_two_parts_is_one() -> None:
    line = NOTE.model_dump_json()
    assert read(line[:20], line[20:] + "\n", "") == [NOTE]


def test_long_log_is_streamed_without_repeating() -> None:
    first = "".join(f"line {n}\n" for n in range(WHOLE_LOG_CHARACTERS // 8))
    assert len(first) > WHOLE_LOG_CHARACTERS
    lines = read(first[:50], first[50:], "end\n", "no newline")
    assert lines == [*first.splitlines(), "end", "no newline"]


def test_what_only_looks_like_a_record_is_text() -> None:
    assert as_record('{"v":1,"kind":"other"}') == '{"v":1,"kind":"other"}'
    assert as_record("") == ""
