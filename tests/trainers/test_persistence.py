"""Trying again until a deadline."""

import errno
import threading
import time
from itertools import pairwise

import pytest

from configs.errors import StorageError
from trainers.persistence import is_full, persist


def _failing(times: int, calls: list[float]) -> str:
    calls.append(time.monotonic())
    if len(calls) <= times:
        raise StorageError(f"failure {len(calls)}")
    return "done"


def test_what_fails_is_tried_again_and_each_failure_is_heard_of() -> None:
    calls: list[float] = []
    heard: list[str] = []
    done = persist(lambda: _failing(3, calls), 60.0, on_failure=lambda e: heard.append(str(e)))
    assert done == "done"
    assert heard == ["failure 1", "failure 2", "failure 3"]
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert pauses[0] < pauses[1] < pauses[2]


def test_after_the_deadline_the_last_failure_is_raised() -> None:
    calls: list[float] = []
    with pytest.raises(StorageError, match="failure") as caught:
        persist(lambda: _failing(10**6, calls), 0.5)
    assert len(calls) > 2
    assert str(caught.value) == f"failure {len(calls)}"


def test_without_time_it_is_tried_once() -> None:
    calls: list[float] = []
    with pytest.raises(StorageError, match="failure 1"):
        persist(lambda: _failing(10**6, calls), 0.0)


def test_it_ends_when_it_is_told_to() -> None:
    over = threading.Event()
    calls: list[float] = []
    started = time.monotonic()
    threading.Timer(0.2, over.set).start()
    with pytest.raises(StorageError):
        persist(lambda: _failing(10**6, calls), 600.0, over=over)
    assert time.monotonic() - started < 60


def test_other_errors_are_not_tried_again() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        persist(fail, 60.0)
    assert len(calls) == 1


def test_a_full_disk_is_told_from_other_troubles() -> None:
    for number, full in ((errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)):
        try:
            raise StorageError("no") from OSError(number, "no")
        except StorageError as error:
            assert is_full(error) == full
    assert not is_full(StorageError("no"))
