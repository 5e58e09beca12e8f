"""Lines of a job's log."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

import pytest

from cluster import joblog
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


def test_who_reads_no_further_leaves_no_connection_open() -> None:
    closed = []

    class Connected(FakeJobs):
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            try:
                async for chunk in super().tail_job_logs(job_id):
                    yield chunk
            finally:
                await asyncio.sleep(0)
                closed.append(True)

    first = "".join(f"line {n}\n" for n in range(WHOLE_LOG_CHARACTERS // 8))
    entries = read_job_log(Connected(first, "end\n", ""), "one.01")
    while next(entries) != "end":
        pass
    del entries
    assert closed == [True]


def test_what_only_looks_like_a_record_is_text() -> None:
    assert as_record('{"v":1,"kind":"other"}') == '{"v":1,"kind":"other"}'
    assert as_record("") == ""


class Unreachable(FakeJobs):
    """A job whose cluster does not answer at some looks."""

    def __init__(self, *parts: str, silent: range) -> None:
        super().__init__(*parts)
        self.asked = 0
        self.silent = silent

    def get_job_logs(self, job_id: str) -> str:
        self.asked += 1
        if self.asked in self.silent:
            raise ConnectionError("Network is unreachable")
        return super().get_job_logs(job_id)


def test_reading_goes_on_when_the_cluster_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "RECONNECT_S", 0.01)
    parts = [f"line {number}\n" for number in range(6)]
    client: Any = Unreachable(*parts, silent=range(3, 6))
    notes = [entry.text for entry in read_job_log(client, "one.01") if isinstance(entry, Note)]
    lost, back = notes  # three looks without an answer are said once
    assert lost.startswith("no answer from the cluster; it is asked again for 300 s more")
    assert back == "the cluster answers again, after 0 s"
    client = Unreachable(*parts, silent=range(3, 6))
    lines = [entry for entry in read_job_log(client, "one.01") if isinstance(entry, str)]
    assert lines == [part.strip() for part in parts]


def test_a_long_silence_is_told_again_each_time_after_twice_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joblog, "RECONNECT_S", 0.05)
    monkeypatch.setattr(joblog, "TOLD_AFTER_S", 0.2)
    client: Any = Unreachable("line\n", "more\n", silent=range(2, 25))
    notes = [entry.text for entry in read_job_log(client, "one.01") if isinstance(entry, Note)]
    # 23 looks, 0.05 s and more apart: at once, from 0.2 s, from 0.4 s, from 0.8 s on.
    assert 3 <= len(notes) - 1 <= 5
    assert notes[-1].startswith("the cluster answers again, after ")


class Quiet(FakeJobs):
    """A job with a long log whose stream brings nothing for a while, as over a cut line."""

    asked = 0

    def get_job_status(self, job_id: str) -> Status:
        self.asked += 1
        if self.looks and 3 <= self.asked < 6:
            raise ConnectionError("Read timed out")
        return super().get_job_status(job_id)

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        while self.asked < 8:
            await asyncio.sleep(0.01)
        async for chunk in super().tail_job_logs(job_id):
            yield chunk


def test_a_stream_that_brings_nothing_is_told_from_a_cut_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joblog, "RECONNECT_S", 0.01)
    monkeypatch.setattr(joblog, "ALIVE_EVERY_S", 0.05)
    first = "".join(f"line {n}\n" for n in range(WHOLE_LOG_CHARACTERS // 8))
    client: Any = Quiet(first, "end\n", "", "", "", "", "", "", "", "")
    entries = [*read_job_log(client, "one.01")]
    assert [entry for entry in entries if isinstance(entry, str)] == [*first.splitlines(), "end"]
    notes = [entry.text for entry in entries if isinstance(entry, Note)]
    assert notes[0].startswith("no answer from the cluster")
    assert notes[-1].startswith("the cluster answers again")


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "RECONNECT_S", 0.01)
    monkeypatch.setattr(joblog, "PATIENCE_S", 0.05)
    client: Any = Unreachable("line\n", "more\n", silent=range(2, 1000))
    with pytest.raises(ConnectionError):
        list(read_job_log(client, "one.01"))


class Dropped(FakeJobs):
    """A job with a long log whose stream breaks off once, in the middle of a line."""

    def __init__(self, *parts: str) -> None:
        super().__init__(*parts)
        self.streams = 0

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self.streams += 1
        text, given = "".join(self.parts), 0
        async for chunk in super().tail_job_logs(job_id):
            yield chunk
            given += len(chunk)
            if self.streams == 1 and given > len(text) - 2500:
                raise ConnectionResetError("Connection reset by peer")


def test_a_stream_that_broke_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "RECONNECT_S", 0.01)
    first = "".join(f"line {n}\n" for n in range(WHOLE_LOG_CHARACTERS // 8))
    client: Any = Dropped(first, *(f"more {n}\n" for n in range(900)), "end\n")
    lines = [entry for entry in read_job_log(client, "one.01") if isinstance(entry, str)]
    assert lines == [*first.splitlines(), *(f"more {n}" for n in range(900)), "end"]
