"""What is put into a person's folder, and what of theirs stays: all of it, whatever fails."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from configs.errors import LockedError, RecipeError
from tests.object_store import ObjectStore
from trainers import storage
from trainers.export_folder import (
    EXPORT_FILE,
    copy_export,
    delete_export,
    put,
    read_mark,
    refuse_place,
    workshop,
    write_mark,
)

RUN_DIR = "/runs/mine"


def make(folder: Path, files: dict[str, str], step: int = 1) -> Path:
    """Write a marked folder as an export is made."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / EXPORT_FILE).write_text('{"version": 1}\n')
    write_mark(folder, "mine", step)
    return folder


def export(place: Path, files: dict[str, str], how: str = "new", step: int = 1) -> tuple[str, ...]:
    """Make an export and put it into its place as a run does."""
    with workshop(str(place)) as temporary:
        folder = make(temporary / "export", files, step)
        return put(folder, str(place), RUN_DIR, how)  # type: ignore[arg-type]  # a word of How


def content(folder: Path) -> dict[str, str]:
    """Give all files below a folder, hidden ones too, without the mark."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != EXPORT_FILE
    }


OLD = {"model": "old", "adapter/a": "old", "gone/b": "old"}
NEW = {"model": "new", "adapter/a": "new", "card": "new"}
THEIRS = {"notes": "theirs", "adapter/more": "theirs", "sub/data.csv": "theirs"}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_new_and_an_empty_folder_take_an_export(tmp_path: Path) -> None:
    export(tmp_path / "deep" / "new", NEW)
    (tmp_path / "empty").mkdir()
    inode = (tmp_path / "empty").stat().st_ino
    export(tmp_path / "empty", NEW, step=7)
    assert content(tmp_path / "deep" / "new") == content(tmp_path / "empty") == NEW
    assert (tmp_path / "empty").stat().st_ino == inode
    mark = read_mark(str(tmp_path / "empty"))
    assert mark is not None
    assert (mark.run, mark.step, mark.whole) == ("mine", 7, True)
    assert {file.name for file in mark.files} == set(NEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


def test_what_is_deleted_is_the_export_alone(tmp_path: Path) -> None:
    place = tmp_path / "place"
    export(place, NEW)
    write(place, THEIRS)
    delete_export(str(place))
    assert content(place) == THEIRS
    assert not (place / EXPORT_FILE).exists()
    export(tmp_path / "other", NEW)
    delete_export(str(tmp_path / "other"))
    delete_export(str(tmp_path / "absent"))
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize("how", ["new", "overwrite"])
@pytest.mark.parametrize("name", ["notes", ".hidden", "config.json", "sub/data.csv"])
def test_a_folder_of_a_person_is_refused(tmp_path: Path, name: str, how: str) -> None:
    place = tmp_path / "place"
    write(place, {name: "theirs"})
    with pytest.raises(LockedError, match=r"is not empty|holds no thaw.json"):
        export(place, NEW, how)
    assert content(place) == {name: "theirs"}


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for name in ("file", "file/below", "link", "nowhere"):
        for overwrite in (False, True):
            with pytest.raises(LockedError, match=r"is no folder|is a link"):
                refuse_place(str(tmp_path / name), RUN_DIR, overwrite=overwrite)
    assert (tmp_path / "file").read_text() == "theirs"


def test_an_object_is_no_folder() -> None:
    address = "fsspec+memory://exports/object"
    storage.write_atomically(address, b"theirs")
    with pytest.raises(LockedError, match=r"exports/object is an object, not a folder"):
        refuse_place(address, RUN_DIR, overwrite=True)
    assert storage.read_bytes(address) == b"theirs"


def test_the_folder_of_the_run_is_no_place(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "mine"
    (home / "checkpoints").mkdir(parents=True)
    (tmp_path / "side").symlink_to(home)
    for place in (home, home / "export", home / "new" / "er", tmp_path / "side" / "new"):
        with pytest.raises(RecipeError, match="lies in the folder of the run"):
            refuse_place(str(place), str(home), overwrite=True)
    for place in (tmp_path / "runs", tmp_path):
        with pytest.raises(LockedError, match="is not empty"):
            refuse_place(str(place), str(home), overwrite=False)


def test_overwrite_replaces_the_files_of_the_export_alone(tmp_path: Path) -> None:
    place = tmp_path / "place"
    export(place, OLD)
    write(place, THEIRS)
    with pytest.raises(LockedError, match=r"is not empty.*replace the export in it"):
        export(place, NEW)
    assert content(place) == OLD | THEIRS
    export(place, NEW, "overwrite", step=2)
    assert content(place) == NEW | THEIRS
    assert not (place / "gone").exists()
    mark = read_mark(str(place))
    assert mark is not None
    assert (mark.step, {file.name for file in mark.files}) == (2, set(NEW))


def test_a_file_that_was_changed_since_is_a_persons(tmp_path: Path) -> None:
    place = tmp_path / "place"
    export(place, OLD)
    (place / "model").write_text("mad")
    with pytest.raises(LockedError, match="was changed since it was exported: model"):
        export(place, NEW, "overwrite")
    assert content(place) == OLD | {"model": "mad"}


def test_a_file_that_stands_where_a_new_one_goes_is_a_persons(tmp_path: Path) -> None:
    place = tmp_path / "place"
    export(place, OLD)
    write(place, {"card": "theirs"})
    with pytest.raises(LockedError, match="card is not of an export"):
        export(place, NEW, "overwrite")
    assert content(place) == OLD | {"card": "theirs"}


def test_a_mark_cannot_name_what_lies_elsewhere(tmp_path: Path) -> None:
    place = tmp_path / "place"
    export(place, {"model": "old"})
    write(tmp_path, {"secret": "theirs"})
    text = (place / EXPORT_FILE).read_text()
    for name in ("../secret", str(tmp_path / "secret")):
        (place / EXPORT_FILE).write_text(text.replace('"model"', f'"{name}"'))
        with pytest.raises(LockedError, match="is not of an export"):
            export(place, NEW, "overwrite")
    (place / EXPORT_FILE).write_text(text)
    (place / "model").unlink()
    (place / "model").symlink_to(tmp_path / "secret")
    with pytest.raises(LockedError, match="was changed"):
        export(place, NEW, "overwrite")
    assert (tmp_path / "secret").read_text() == "theirs"


@contextmanager
def failing_after(renames: int, fail: Callable[[], None]) -> Iterator[None]:
    """Let the disk fail at a rename, as a full or broken one does; the first ones go through."""
    real, left = os.rename, [renames]

    def rename(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            left[0] = 10**9
            fail()
        real(source, target)

    os.rename = rename  # type: ignore[assignment]  # the disk, not our code
    try:
        yield
    finally:
        os.rename = real


def _broken() -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("renames", range(6))
@pytest.mark.parametrize("there", ["nothing", "empty", "export"])
def test_a_failure_midway_leaves_the_old_state(tmp_path: Path, there: str, renames: int) -> None:
    place = tmp_path / "place"
    before = {}
    if there == "empty":
        place.mkdir()
    if there == "export":
        export(place, OLD)
        write(place, THEIRS)
        before = OLD | THEIRS
    mark = read_mark(str(place))
    at = renames if there == "export" else renames % (1 if there == "nothing" else 3)
    with failing_after(at, _broken), pytest.raises(Exception, match="Input/output error"):
        export(place, NEW, "overwrite", step=2)
    assert content(place) == before
    assert read_mark(str(place)) == mark
    assert place.exists() == (there != "nothing")
    assert [path.name for path in tmp_path.iterdir()] == (["place"] if place.exists() else [])


def _killed(place: Path, renames: int) -> None:
    """Export in a child that dies with signal 9 at a rename."""
    child = os.fork()
    if child == 0:
        with failing_after(renames, lambda: os.kill(os.getpid(), 9)):
            export(place, NEW, "overwrite", step=2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9


@pytest.mark.parametrize("renames", range(6))
def test_a_kill_midway_leaves_what_a_person_has_and_the_next_one_makes_it_whole(
    tmp_path: Path, renames: int
) -> None:
    place = tmp_path / "place"
    export(place, OLD)
    write(place, THEIRS)
    _killed(place, renames)
    assert content(place).items() >= THEIRS.items()
    mark = read_mark(str(place))
    assert mark is not None
    assert not mark.whole
    export(place, NEW, "overwrite", step=3)
    left = {name: text for name, text in content(place).items() if not name.startswith(".export-")}
    assert left == NEW | THEIRS
    mark = read_mark(str(place))
    assert mark is not None
    assert (mark.whole, mark.step) == (True, 3)


def test_the_runs_own_export_keeps_what_stands_in_its_way(tmp_path: Path) -> None:
    place = tmp_path / "export"
    write(place, {"model": "theirs", "notes": "theirs"})
    assert export(place, NEW, "own") == ("model.kept-1",)
    theirs = {"model.kept-1": "theirs", "notes": "theirs"}
    assert content(place) == NEW | theirs
    (place / "card").write_text("corrected")
    assert export(place, NEW, "own") == ("card.kept-1",)
    assert content(place) == NEW | theirs | {"card.kept-1": "corrected"}


def test_a_copy_is_the_export_or_nothing(tmp_path: Path) -> None:
    source = make(tmp_path / "source", NEW, step=5)
    mark = copy_export(str(source), str(tmp_path / "copy"), RUN_DIR)
    assert mark == read_mark(str(tmp_path / "copy"))
    assert content(tmp_path / "copy") == NEW
    write(source, {"model": "bad"})
    assert copy_export(str(source), str(tmp_path / "other"), RUN_DIR) is None
    (source / "model").unlink()
    assert copy_export(str(source), str(tmp_path / "other"), RUN_DIR) is None
    assert not (tmp_path / "other").exists()
    write(tmp_path / "theirs", {"notes": "theirs"})
    write(source, NEW)
    with pytest.raises(LockedError):
        copy_export(str(source), str(tmp_path / "theirs"), RUN_DIR)
    assert content(tmp_path / "theirs") == {"notes": "theirs"}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with workshop(str(tmp_path / "place")) as temporary:
            write(temporary / "export", {"model": "private"})
            (temporary / "export" / "model").chmod(0o600)  # as safetensors does
            put(make(temporary / "export", NEW), str(tmp_path / "place"), RUN_DIR)
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "place").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~umask}
    assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o777 & ~umask


def test_a_bucket_keeps_what_a_person_has(object_store: ObjectStore) -> None:
    bucket = object_store.make_bucket("exports")
    place = f"{bucket}/one"
    storage.write_atomically(f"{place}/notes", b"theirs")
    for how in ("new", "overwrite"):
        with pytest.raises(LockedError):
            _export_remote(place, NEW, how)
    assert storage.list_names(place) == ["notes"]
    other = f"{bucket}/two"
    _export_remote(other, OLD, "new")
    storage.write_atomically(f"{other}/notes", b"theirs")
    with pytest.raises(LockedError, match="is not empty"):
        _export_remote(other, NEW, "new")
    _export_remote(other, NEW, "overwrite")
    assert storage.read_bytes(f"{other}/notes") == b"theirs"
    assert storage.read_bytes(f"{other}/model") == b"new"
    assert not storage.exists(f"{other}/gone/b")


def _export_remote(place: str, files: dict[str, str], how: str) -> None:
    with workshop(place) as temporary:
        folder = make(temporary / "export", files)
        put(folder, place, RUN_DIR, how)  # type: ignore[arg-type]  # a word of How
