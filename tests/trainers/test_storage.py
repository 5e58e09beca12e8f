"""Files at an address: atomic, exclusive, exact."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.errors import LockedError, NotFoundError, StorageError
from trainers import storage


def test_a_written_file_reads_back_and_leaves_no_temporary(tmp_path: Path) -> None:
    address = storage.join(str(tmp_path), "a", "b.json")
    storage.write_atomically(address, b"one")
    storage.write_atomically(address, b"two")
    assert storage.read_bytes(address) == b"two"
    assert storage.list_names(storage.join(str(tmp_path), "a")) == ["b.json"]


def test_only_one_of_many_creates_a_file(tmp_path: Path) -> None:
    address = str(tmp_path / "lock")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: storage.create_exclusively(address, b"%d" % i), range(8)))
    assert sum(won) == 1
    assert storage.read_bytes(address) == b"%d" % won.index(True)
    assert storage.list_names(str(tmp_path)) == ["lock"]


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    address = str(tmp_path / "metrics.jsonl")
    storage.append_lines(address, ["a", "b"])
    storage.append_lines(address, ["c"])
    assert storage.read_bytes(address) == b"a\nb\nc\n"


def test_absent_things(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    assert not storage.exists(absent)
    assert storage.list_names(absent) == []
    storage.delete(absent)
    with pytest.raises(NotFoundError, match="does not exist"):
        storage.read_bytes(absent)


def test_a_file_that_somebody_else_writes_meanwhile_stays_theirs(tmp_path: Path) -> None:
    address = str(tmp_path / "out.jsonl")

    def parts() -> Iterator[bytes]:
        yield b"ours"
        Path(address).write_text("theirs")

    with pytest.raises(LockedError, match=r"out\.jsonl was written by somebody else just now"):
        storage.write_chunks(address, parts(), replace=False)
    assert Path(address).read_text() == "theirs"
    assert storage.list_names(str(tmp_path)) == ["out.jsonl"]
    with pytest.raises(LockedError, match=r"out\.jsonl is there already\. Name another file"):
        storage.write_chunks(address, [b"ours"], replace=False)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nothing://x/y", r"nothing://x/y is not an address that can be opened: .*\. Correct it"),
        ("s3:/x", r"s3:/x is neither a path nor an address\. Write s3://bucket/folder"),
        ("file://x", r"file://x names no whole path\. Write file:///folder"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, said: str) -> None:
    with pytest.raises(StorageError, match=said):
        storage.exists(address)


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="could not be written"):
        storage.write_atomically(str(tmp_path / "file" / "inner"), b"x")


def test_copies_keep_the_hash(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    storage.upload(source, str(tmp_path / "folder" / "copy"))
    storage.download(str(tmp_path / "folder" / "copy"), tmp_path / "back")
    assert storage.file_hash(tmp_path / "back") == storage.bytes_hash(b"x" * 100_000)


def test_a_tree_is_deleted(tmp_path: Path) -> None:
    storage.write_atomically(str(tmp_path / "a" / "b"), b"")
    storage.delete(str(tmp_path / "a"))
    assert storage.list_names(str(tmp_path)) == []


def test_an_open_file_reads_at_any_place(tmp_path: Path) -> None:
    address = str(tmp_path / "file")
    storage.write_atomically(address, b"0123456789")
    with storage.open_input(address) as file:
        file.seek(4)
        assert file.read(3) == b"456"
    with pytest.raises(NotFoundError, match="does not exist"):
        storage.open_input(str(tmp_path / "absent"))


def test_files_are_told_from_folders(tmp_path: Path) -> None:
    storage.write_atomically(str(tmp_path / "a" / "b"), b"")
    storage.write_atomically(str(tmp_path / "c"), b"")
    assert storage.list_names(str(tmp_path)) == ["a", "c"]
    assert storage.list_names(str(tmp_path), files_only=True) == ["c"]


def test_lines_do_not_run_into_one_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("whole\nhal")
    storage.append_lines(str(path), ["next"])
    storage.append_lines(str(path), ["last"])
    assert path.read_text() == "whole\nhal\nnext\nlast\n"


@pytest.mark.parametrize("address", ["s3://", "s3:///x", "gs://", "s3:/x", "file://x", "s3:"])
def test_a_remote_address_never_turns_into_a_local_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="Write "):
        storage.write_atomically(storage.join(address, "run", "file"), b"x")
    assert not any(tmp_path.iterdir())


def test_what_is_inside_of_a_folder_is_joined_to_it() -> None:
    assert storage.join("s3://bucket/", "a", "b") == "s3://bucket/a/b"
    assert storage.join("/", "a") == "/a"
    assert storage.join("file:///x/", "a") == "file:///x/a"
    assert storage.join("hdfs:///", "a") == "hdfs:///a"


def test_nothing_is_made_in_a_folder_that_must_stay_while_it_is_gone(tmp_path: Path) -> None:
    run, away = tmp_path / "runs" / "one", tmp_path / "away"
    run.mkdir(parents=True)
    with storage.staying(str(run)):
        storage.write_atomically(f"{run}/logs/a01/x", b"1")
        run.rename(away)
        for write in (
            lambda: storage.write_atomically(f"{run}/run.json", b"2"),
            lambda: storage.write_atomically(f"{run}/checkpoints/step/MANIFEST.json", b"2"),
            lambda: storage.append_lines(f"{run}/metrics.jsonl", ["2"]),
            lambda: storage.create_exclusively(f"{run}/lock/0002", b"2"),
            lambda: storage.make_folder(f"{run}/tensorboard"),
        ):
            with pytest.raises(StorageError, match="one is gone: it was moved or deleted"):
                write()
        assert not run.exists()
        away.rename(run)
        storage.write_atomically(f"{run}/logs/a02/deep/x", b"3")
        assert (run / "logs" / "a02" / "deep" / "x").read_bytes() == b"3"
    shutil.rmtree(run)
    storage.write_atomically(f"{run}/run.json", b"4")
    assert (run / "run.json").read_bytes() == b"4"
