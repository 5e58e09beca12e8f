"""Folders and files that nobody else gets into, whatever the umask and whoever was there first."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import StorageError
from tests.other_person import all_below, what_others_can_do
from trainers.data.recordings import Shape, Writer, recordings_folder
from trainers.data.shard_cache import node_folder
from trainers.private_folders import is_private, private_folder, write_private


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder as /tmp is, open to all, and a umask that closes nothing."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = os.umask(0)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_modes_do_not_ask_the_umask(open_folder: Path) -> None:
    inner = private_folder(open_folder / "inner")
    assert mode(inner) == 0o700
    assert mode(write_private(inner / "file", b"word")) == 0o600
    assert (inner / "file").read_bytes() == b"word"
    assert [path.name for path in inner.iterdir()] == ["file"]


def test_own_folder_that_stands_open_is_closed(open_folder: Path) -> None:
    (open_folder / "old").mkdir(mode=0o777)
    assert not is_private(open_folder / "old")
    assert mode(private_folder(open_folder / "old")) == 0o700
    assert is_private(open_folder / "old") and not is_private(open_folder / "absent")


def test_name_that_is_a_link_or_a_file_is_refused(open_folder: Path) -> None:
    (open_folder / "link").symlink_to(open_folder)
    (open_folder / "file").touch()
    for name, what in (("link", "is a link"), ("file", "is a file")):
        with pytest.raises(StorageError, match=what):
            private_folder(open_folder / name)
    assert mode(open_folder) == 0o1777


@pytest.mark.skipif(os.getuid() != 0, reason="NOT TESTED: only root can give a folder away")
def test_folder_of_another_person_is_refused(open_folder: Path) -> None:
    theirs = open_folder / f"thaw-{os.getuid()}"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    theirs.chmod(0o700)
    with pytest.raises(StorageError, match="belongs to another person"):
        node_folder()
    assert not is_private(theirs)


def test_caches_of_a_node_are_closed(open_folder: Path) -> None:
    import torch

    shape = Shape("all", by_token=True, tail=(2,), dtype=torch.float32)
    writer = Writer(private_folder(recordings_folder()) / "key" / "lane.arrow", shape)
    writer.write([torch.zeros(3, 2)])
    writer.finish()
    (node_folder() / "set").mkdir()
    (node_folder() / "set" / "shard.arrow").write_bytes(b"rows")
    found = [path for path in all_below(open_folder) if path != open_folder]
    assert len(found) > 5
    assert what_others_can_do(found) == []
