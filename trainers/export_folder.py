"""Put an exported folder where it was asked for, and touch nothing there that is not ours.

What is ours is what the mark in thaw.json lists, as it was written: any other file stays as it is.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import LockedError, NotFoundError, RecipeError, StorageError, reason_of
from trainers import storage
from trainers.belongings import delete_ours

EXPORT_FILE = "thaw.json"
KEY = "mark"
WORK = ".export-"
"""How the folder begins in which an export is made."""
FOLDER = "export"

How = Literal["new", "overwrite", "own"]
"""Into nothing; over an older export, too; or into the run's own folder, whatever is there."""


class ExportedFile(BaseModel):
    """One file of an export."""

    model_config = ConfigDict(frozen=True)
    name: str
    """Path below the folder."""
    num_bytes: int
    hash: str


class Mark(BaseModel):
    """Which run made an export, and which files are its own."""

    model_config = ConfigDict(frozen=True)
    run: str
    step: int
    time: float
    """Seconds since the epoch."""
    whole: bool = True
    """False while an older export is being replaced."""
    files: tuple[ExportedFile, ...]
    """All but thaw.json itself; a name may stand here twice while it is being replaced."""

    def owns(self, name: str, num_bytes: int, digest: str | None) -> bool:
        """Return whether bytes are what the export wrote under a name; None trusts the size."""
        return any(
            file.name == name and file.num_bytes == num_bytes and digest in (None, file.hash)
            for file in self.files
        )


def write_mark(folder: Path, run: str, step: int) -> Mark:
    """Write into thaw.json which files a finished local folder holds.

    They all get the mode that the umask gives a new file: some libraries write for their owner
    alone (safetensors 0.8.0).
    """
    mode = (folder / EXPORT_FILE).stat().st_mode
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in paths:
        path.chmod(mode)
    files = tuple(
        ExportedFile(
            name=path.relative_to(folder).as_posix(),
            num_bytes=path.stat().st_size,
            hash=storage.file_hash(path),
        )
        for path in paths
        if path != folder / EXPORT_FILE
    )
    mark = Mark(run=run, step=step, time=time.time(), files=files)
    told = json.loads((folder / EXPORT_FILE).read_text()) | {KEY: mark.model_dump()}
    storage.write_atomically(str(folder / EXPORT_FILE), _as_json(told))
    return mark


def read_mark(address: str) -> Mark | None:
    """Read which files of a folder an export wrote; None where it does not say so."""
    try:
        told = json.loads(storage.read_bytes(storage.join(address, EXPORT_FILE)))
        return Mark.model_validate(told[KEY])
    except (NotFoundError, ValueError, KeyError, TypeError, ValidationError):
        return None


def refuse_place(address: str, run_dir: str, *, overwrite: bool) -> None:
    """Raise LockedError for a folder with files that are not ours to replace.

    With `overwrite` an older export may be there, beside a person's files. Raises RecipeError for a
    place in the run's own folder.
    """
    local = storage.local_path(address)
    if local is not None:
        _refuse_own_folder(local, run_dir)
        _refuse_no_folder(local)
    elif storage.is_file(address):
        raise LockedError(f"{address} is an object, not a folder. Name another place")
    names = [name for name in storage.list_names(address) if not name.startswith(WORK)]
    if not names:
        return
    mark = read_mark(address)
    if not overwrite:
        ways = "Name a folder that is not there yet"
        ways += ", or replace the export in it with --overwrite" if mark is not None else ""
        raise LockedError(f"{address} is not empty: it holds {_named(names)}. {ways}")
    if mark is None:
        raise LockedError(
            f"{address} holds no {EXPORT_FILE} that lists the files of an export, so nothing there "
            "is ours to replace. Name another folder"
        )
    changed = [name for name in _listed(mark) if not _is_ours(address, name, mark)]
    if changed:
        raise LockedError(
            f"{address} was changed since it was exported: {_named(changed)}. Move that elsewhere, "
            "or name another folder"
        )


@contextmanager
def workshop(address: str) -> Iterator[Path]:
    """Give a folder to make an export in, on the disk that it goes to; it is gone afterwards."""
    local = storage.local_path(address)
    if local is None:
        with tempfile.TemporaryDirectory(prefix=WORK) as temporary:
            yield Path(temporary)
        return
    parent = local if local.is_dir() else local.parent
    made = [each for each in (parent, *parent.parents) if not each.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=WORK) as temporary:
            yield Path(temporary)
    except OSError as error:
        raise StorageError(f"{address} could not be written: {reason_of(error)}") from error
    finally:
        with suppress(OSError):  # a folder that is not empty stays
            for each in made:
                each.rmdir()


def put(folder: Path, address: str, run_dir: str, how: How = "new") -> tuple[str, ...]:
    """Move a marked folder out of its workshop into its place; what fails leaves the old state.

    Returns the names under which files that were in the way of the run's `own` export are kept.
    Raises what `refuse_place` raises.
    """
    kept = _keep_others(folder, address) if how == "own" else ()
    if how != "own":
        refuse_place(address, run_dir, overwrite=how == "overwrite")
    _refuse_in_the_way(folder, address)
    local = storage.local_path(address)
    if local is None:
        _upload(folder, address)
    elif local.is_dir():
        _exchange(folder, local)
    else:
        os.rename(folder, local)
        storage.sync(local.parent)
    return kept


def copy_export(source: str, address: str, run_dir: str, how: How = "new") -> Mark | None:
    """Copy a whole export to another place; None for one that is not as it was written.

    Raises what `refuse_place` raises.
    """
    mark = read_mark(source)
    if mark is None or not mark.whole:
        return None
    with workshop(address) as temporary:
        folder = temporary / FOLDER
        for name in (*_listed(mark), EXPORT_FILE):
            if not storage.exists(storage.join(source, name)):
                return None
            storage.download(storage.join(source, name), folder / name)
        if not all(_is_ours(str(folder), name, mark) for name in _listed(mark)):
            return None
        put(folder, address, run_dir, how)
    return mark


def delete_export(address: str) -> None:
    """Delete the files that a folder's mark lists, and the folder where nothing else is in it."""
    mark = read_mark(address)
    delete_ours(address, {*_listed(mark), EXPORT_FILE}.__contains__)


def is_as_written(address: str, name: str, mark: Mark) -> bool:
    """Return whether a file that is there is one of the export's, unchanged."""
    return name in _listed(mark) and _is_ours(address, name, mark)


def _refuse_own_folder(local: Path, run_dir: str) -> None:
    home = storage.local_path(run_dir)
    if home is None:
        return
    inside, place = Path(os.path.realpath(home)), Path(os.path.realpath(local))
    if place == inside or inside in place.parents:
        raise RecipeError(f"{local} lies in the folder of the run itself. Name another place")


def _refuse_no_folder(local: Path) -> None:
    if local.is_symlink():
        raise LockedError(f"{local} is a link to {local.readlink()}. Name the folder itself")
    there = next((each for each in (local, *local.parents) if os.path.lexists(each)), local)
    if os.path.lexists(there) and not there.is_dir():
        raise LockedError(f"{there} is no folder. Name another place")


def _refuse_in_the_way(folder: Path, address: str) -> None:
    """Refuse to write over a file that no mark lists."""
    mark = read_mark(address)
    names = [*_listed(read_mark(folder.as_posix())), *([EXPORT_FILE] if mark is None else [])]
    for name in names:
        there = storage.join(address, name)
        if storage.lexists(there) and (mark is None or name not in _listed(mark)):
            raise LockedError(
                f"{there} is not of an export, but one would be written there. Move it elsewhere, "
                "or name another folder"
            )


def _keep_others(folder: Path, address: str) -> tuple[str, ...]:
    """Give files that are not ours, and stand where the run's own export goes, another name."""
    mark, kept = read_mark(address), []
    for name in [*_listed(read_mark(folder.as_posix())), *([] if mark else [EXPORT_FILE])]:
        there = storage.join(address, name)
        if not storage.lexists(there) or (mark is not None and _is_ours(address, name, mark)):
            continue
        number = 1
        while storage.lexists(f"{there}.kept-{number}"):
            number += 1
        storage.rename(there, f"{there}.kept-{number}")
        kept.append(f"{name}.kept-{number}")
    return tuple(kept)


def _exchange(folder: Path, local: Path) -> None:
    """Put the files of a folder in the place of an older export's, or let all be as it was."""
    new, old = read_mark(str(folder)), read_mark(str(local))
    aside, mark = folder.with_name("aside"), local / EXPORT_FILE
    before = mark.read_bytes() if mark.exists() else None
    moved: list[tuple[Path, Path]] = []
    try:
        # Whoever is killed in here leaves a mark that knows both.
        storage.write_atomically(str(mark), _between(folder, old))
        for name in _listed(old):
            if (local / name).exists():
                _move(local / name, aside / name, moved)
        for name in _listed(new):
            _move(folder / name, local / name, moved)
        os.replace(folder / EXPORT_FILE, mark)
    except BaseException:
        for source, target in reversed(moved):
            source.parent.mkdir(parents=True, exist_ok=True)
            os.rename(target, source)
        if before is not None:
            storage.write_atomically(str(mark), before)
        else:
            mark.unlink(missing_ok=True)
        _drop_empty(local, [*_listed(new)])
        raise
    _drop_empty(local, _listed(old))
    storage.sync(local)


def _move(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(source, target)
    moved.append((source, target))


def _drop_empty(local: Path, names: Sequence[str]) -> None:
    """Remove the folders of files that went, where nothing else is in them."""
    for folder in {(local / name).parent for name in names} - {local}:
        with suppress(OSError):
            folder.rmdir()


def _upload(folder: Path, address: str) -> None:
    """Upload a folder, the mark first as one that is not whole, and last as it is."""
    old, new = read_mark(address), read_mark(str(folder))
    sent: list[str] = []
    mark = storage.join(address, EXPORT_FILE)
    try:
        storage.write_atomically(mark, _between(folder, old))
        for name in _listed(new):
            sent.append(name)
            storage.upload(folder / name, storage.join(address, name))
    except BaseException:
        if old is None:
            with suppress(StorageError):
                for name in (*sent, EXPORT_FILE):
                    storage.delete(storage.join(address, name))
        raise
    for name in set(_listed(old)) - set(_listed(new)):
        storage.delete(storage.join(address, name))
    storage.upload(folder / EXPORT_FILE, mark)


def _between(folder: Path, old: Mark | None) -> bytes:
    """Give a thaw.json that lists the files of the old export and of the new one."""
    told = json.loads((folder / EXPORT_FILE).read_text())
    new = Mark.model_validate(told[KEY])
    files = (*(old.files if old is not None else ()), *new.files)
    both = new.model_copy(update={"files": files, "whole": False})
    return _as_json(told | {KEY: both.model_dump()})


def _is_ours(address: str, name: str, mark: Mark) -> bool:
    """Return whether a file is as the export wrote it; one that is gone is nobody's."""
    there = storage.join(address, name)
    path = storage.local_path(there)
    if path is None:
        return not storage.exists(there) or mark.owns(name, storage.num_bytes(there), None)
    inner = [path, *path.parents][: name.count("/") + 1]
    if any(each.is_symlink() for each in inner):
        return False
    if not path.exists():
        return True
    return path.is_file() and mark.owns(name, path.stat().st_size, storage.file_hash(path))


def _listed(mark: Mark | None) -> list[str]:
    """Give the names that a mark lists, each once; none that leads out of its folder."""
    names = dict.fromkeys(file.name for file in mark.files) if mark is not None else {}
    return [name for name in names if not name.startswith("/") and ".." not in name.split("/")]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _as_json(told: object) -> bytes:
    return (json.dumps(told, indent=2) + "\n").encode()
