"""Records on their way to a storage that does not always take them."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import StorageError
from tests.disks import bring_back, take_away
from trainers.delivery import Delivery

LIMIT_S = 60


def _wait(ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_lines_get_there_by_themselves_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    delivery = Delivery(str(file), str(tmp_path / "events"))
    for number in range(100):
        delivery.add(str(number))
    _wait(lambda: file.exists() and file.read_text() == "".join(f"{n}\n" for n in range(100)))
    delivery.stop(LIMIT_S)


def test_nothing_is_lost_while_the_storage_istake_away(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    delivery = Delivery(str(folder / "metrics.jsonl"), str(folder / "events"))
    delivery.add("before")
    _wait((folder / "metrics.jsonl").exists)
    away = take_away(folder)
    for number in range(5):
        delivery.add(str(number))
    with pytest.raises(StorageError, match=r"metrics\.jsonl could not be appended to"):
        delivery.deliver()
    bring_back(folder, away)
    lines = ["before", "0", "1", "2", "3", "4"]
    _wait(lambda: (folder / "metrics.jsonl").read_text().splitlines() == lines)
    delivery.stop(LIMIT_S)


def test_nothing_is_written_into_what_belongs_to_others(tmp_path: Path) -> None:
    theirs: list[bool] = []
    file = tmp_path / "metrics.jsonl"
    delivery = Delivery(str(file), str(tmp_path / "events"), lambda: bool(theirs))
    delivery.add("before")
    _wait(file.exists)
    theirs.append(True)
    delivery.add("after")
    delivery.deliver()
    delivery.stop(LIMIT_S)
    assert file.read_text() == "before\n"


def test_files_that_grow_are_followed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "run" / "events"
    source.mkdir()
    delivery = Delivery(str(tmp_path / "run" / "metrics.jsonl"), str(target))
    buffered = [b"one", b"two"]

    def settle() -> None:
        with (source / "events.0").open("ab") as stream:
            stream.write(b"".join(buffered))
        buffered.clear()

    delivery.follow(source, settle)
    delivery.deliver()
    assert (target / "events.0").read_bytes() == b"onetwo"
    away = take_away(tmp_path / "run")
    buffered.append(b"three")
    with pytest.raises(StorageError):
        delivery.deliver()
    bring_back(tmp_path / "run", away)
    buffered.append(b"four")
    delivery.look()
    _wait(lambda: (target / "events.0").read_bytes() == b"onetwothreefour")
    delivery.stop(LIMIT_S)
