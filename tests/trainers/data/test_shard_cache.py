"""Remote shards on a node's own disk: at most so many bytes, the oldest go first."""

import os
from pathlib import Path

import pytest

from configs.errors import NotFoundError
from trainers.data.shard_cache import fetch_within, touch


def fetch(address: str, local: Path) -> None:
    local.parent.mkdir(parents=True, exist_ok=True)
    local.write_bytes(b"x" * 100)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.arrow"))


def age(path: Path, seconds: int) -> None:
    stamp = path.stat().st_mtime - seconds
    os.utime(path, (stamp, stamp))


def test_the_files_asked_for_longest_ago_go_first(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "a.arrow", tmp_path / "two" / "b.arrow"
    for path, seconds in ((first, 30), (second, 20)):
        fetch_within(tmp_path, path, "s3://bucket/x", 250, fetch)
        age(path, seconds)
    touch(first)
    fetch_within(tmp_path, tmp_path / "one" / "c.arrow", "s3://bucket/x", 250, fetch)
    assert names(tmp_path) == ["a.arrow", "c.arrow"]


def test_what_was_just_fetched_stays_even_if_it_is_too_large(tmp_path: Path) -> None:
    fetch_within(tmp_path, tmp_path / "a.arrow", "s3://bucket/x", 10, fetch)
    assert names(tmp_path) == ["a.arrow"]


def test_a_failed_fetch_deletes_nothing(tmp_path: Path) -> None:
    fetch_within(tmp_path, tmp_path / "a.arrow", "s3://bucket/x", 10, fetch)

    def absent(address: str, local: Path) -> None:
        raise NotFoundError(address)

    with pytest.raises(NotFoundError):
        fetch_within(tmp_path, tmp_path / "b.arrow", "s3://bucket/y", 10, absent)
    assert names(tmp_path) == ["a.arrow"]
