"""One rank's commit against a real disk that is full, gone, or slow."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from configs.errors import LockedError, StorageError
from tests.disks import bring_back, fill, small_disk, take_away
from tests.trainers.commits import ALL, made_manifest
from trainers import storage
from trainers.commit_thread import CommitThread, Part, Share, Terms
from trainers.damage import find_damage
from trainers.manifest import Cursor, checkpoint_name, list_commits
from trainers.partitions import Piece
from trainers.place import Place

LIMIT_S = 60
MIB = 2**20


def _wait(ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)


def _part(step: int, num_bytes: int = 1000, best: str | None = None) -> Part:
    values = torch.full((num_bytes // 4,), float(step))
    manifest = made_manifest(step, cursor=Cursor(step=step, best_checkpoint=best))
    return Part(checkpoint_name(step, 1), [Piece("w", "weight", 0, values)], manifest)


def _terms(newest: str | None = None, deadline_s: float = LIMIT_S, serial: str = "1") -> Terms:
    return Terms(serial, deadline_s, ALL, newest, (), lambda: None)


def _begin(run_dir: Path, part: Part, terms: Terms, world_size: int = 1) -> CommitThread:
    return CommitThread(Place(0, world_size, 0, str(run_dir), "", 1, "cpu"), [part], terms)


def _commit(run_dir: Path, part: Part, newest: str | None = None) -> str:
    thread = _begin(run_dir, part, _terms(newest))
    thread.wait(LIMIT_S)
    assert thread.failure() is None
    return part.name


def test_a_disk_that_is_full_is_waited_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        first = _commit(disk, _part(1, MIB))
        filler = fill(disk, leave=MIB // 2)
        thread = _begin(disk, _part(2, MIB), _terms(first))
        _wait(lambda: thread.trouble is not None)
        assert "No space left on device" in str(thread.trouble)
        assert list_commits(str(disk)) == [first]
        filler.unlink()
        thread.wait(LIMIT_S)
        assert thread.failure() is None
        assert list_commits(str(disk)) == [first, checkpoint_name(2, 1)]
        for name in list_commits(str(disk)):
            assert find_damage(str(disk), name) == []


def test_older_commits_make_room_but_not_the_newest_or_the_best(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "5m") as disk:
        best = checkpoint_name(2, 1)
        for step in (1, 2, 3, 4):
            newest = _commit(disk, _part(step, MIB, best=best if step > 1 else None))
        fill(disk, leave=100_000)
        thread = _begin(disk, _part(5, MIB, best=best), _terms(newest))
        thread.wait(LIMIT_S)
        assert thread.failure() is None
        assert thread.freed == [checkpoint_name(1, 1), checkpoint_name(3, 1)]
        assert list_commits(str(disk)) == [best, newest, checkpoint_name(5, 1)]


def test_after_the_deadline_it_says_what_to_do_and_leaves_no_half_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        first = _commit(disk, _part(1, MIB))
        fill(disk, leave=MIB // 2)
        thread = _begin(disk, _part(2, MIB), _terms(first, deadline_s=1.0))
        thread.wait(LIMIT_S)
        failure = thread.failure()
        assert isinstance(failure, StorageError)
        said = str(failure)
        assert said.startswith(
            "step-00000002.a01 could not be committed within checkpoint.deadline_s (1 s), the "
            f"newest commit is {first}: "
        )
        assert "No space left on device" in said
        assert said.endswith("Make room on the storage or repair it")
        thread.discard()
        files = [path for path in disk.rglob("*") if path.is_file()]
        assert sorted(path.name for path in files) == [
            "MANIFEST.json",
            "filler",
            "rank-00000.safetensors",
        ]
        assert find_damage(str(disk), first) == []


def test_a_storage_that_is_gone_for_a_while(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    first = _commit(run_dir, _part(1))
    away = take_away(run_dir)
    thread = _begin(run_dir, _part(2), _terms(first))
    _wait(lambda: thread.trouble is not None)
    bring_back(run_dir, away)
    thread.wait(LIMIT_S)
    assert thread.failure() is None
    assert list_commits(str(run_dir)) == [first, checkpoint_name(2, 1)]
    assert storage.list_names(str(run_dir / "checkpoints" / checkpoint_name(2, 1))) == [
        "MANIFEST.json",
        "rank-00000.safetensors",
    ]


def test_records_come_before_the_manifest(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    terms = Terms("1", LIMIT_S, ALL, None, (), lambda: seen.append(list_commits(str(tmp_path))))
    thread = _begin(tmp_path, _part(1), terms)
    thread.wait(LIMIT_S)
    assert seen == [[]]
    assert list_commits(str(tmp_path)) == [checkpoint_name(1, 1)]


def test_the_share_of_another_commit_is_not_taken_for_this_one(tmp_path: Path) -> None:
    part = _part(1)
    folder = tmp_path / "checkpoints" / part.name
    terms = _terms(serial="2")
    file = {"name": "rank-00001.safetensors", "num_bytes": 1, "hash": "old"}
    old = Share.model_validate({"serial": "1", "file": file})
    storage.write_atomically(str(folder / "rank-00001.json"), old.model_dump_json().encode())
    thread = _begin(tmp_path, part, terms, world_size=2)
    _wait((folder / "rank-00000.json").exists)
    thread.wait(0.3)
    assert not thread.is_over()
    new = old.model_copy(update={"serial": "2"})
    storage.write_atomically(str(folder / "rank-00001.json"), new.model_dump_json().encode())
    thread.wait(LIMIT_S)
    assert thread.failure() is None
    assert list_commits(str(tmp_path)) == [part.name]


def test_a_rank_that_never_writes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    thread = _begin(tmp_path, _part(1), _terms(), world_size=3)
    thread.wait(0.3)
    thread.abandon()
    thread.wait(LIMIT_S)
    assert "2 ranks have not written their share" in str(thread.failure())
    assert list_commits(str(tmp_path)) == []


def test_an_older_claim_neither_commits_nor_deletes(tmp_path: Path) -> None:
    names = [_commit(tmp_path, _part(step)) for step in (1, 2, 3)]
    storage.write_atomically(str(tmp_path / "lock" / "0002"), b"{}")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    thread = _begin(tmp_path, _part(4), _terms(names[-1]))
    thread.wait(LIMIT_S)
    assert isinstance(thread.failure(), LockedError)
    thread.discard()
    assert list_commits(str(tmp_path)) == names
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_older_claim_makes_no_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        names = [_commit(disk, _part(step, MIB)) for step in (1, 2)]
        storage.write_atomically(str(disk / "lock" / "0002"), b"{}")
        fill(disk)
        thread = _begin(disk, _part(3, MIB), _terms(names[-1]))
        thread.wait(LIMIT_S)
        assert isinstance(thread.failure(), LockedError)
        assert list_commits(str(disk)) == names
