"""The folder of a preparation on its way: one at a time works in it, and goes on where one died."""

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.errors import StorageError, reason_of
from trainers import storage
from trainers.belongings import WORK as WORK_FILES
from trainers.belongings import delete_ours
from trainers.data.plan import Plan

POLL_S = 0.1
STALE_S = 7 * 86_400.0
WORK = ".work"
"""How the name of a work folder ends."""
NAME = re.compile(rf"[0-9a-f]+{re.escape(WORK)}")


@contextmanager
def exclusive(plan: Plan, take: Callable[[int, int], None] = fcntl.flock) -> Iterator[None]:
    """Work on a preparation alone; waits for another one of the same data to end.

    The lock ends with the process that holds it, however that ends. In an object store there is no
    lock: every preparation has a work folder of its own there. Raises StorageError for a storage
    where none can be taken.
    """
    folder = storage.local_path(plan.data_dir)
    if folder is None:
        yield
        return
    path = folder.with_name(f"{folder.name}.lock")
    new = [each for each in path.parents if not each.exists()]
    descriptor = _lock(path, take)
    try:
        yield
    finally:
        # The file goes before the lock is let go: who waits for it sees that it is another one.
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # a folder that is not empty stays
            for each in new:
                each.rmdir()


def goes_on(plan: Plan) -> bool:
    """Say whether a later preparation of the same data finds this work folder."""
    return storage.local_path(plan.work_dir) is not None


def clear(plan: Plan) -> None:
    """Delete the work folder."""
    delete_ours(plan.work_dir, WORK_FILES)


def sweep(plan: Plan) -> None:
    """Delete the work folders beside this one that nobody has written to for a week.

    A preparation that was killed leaves one for the next of the same data, which may never come.
    """
    own = storage.local_path(plan.data_dir)
    if own is None:
        return
    for folder in own.parent.glob(f"*{WORK}"):
        if not NAME.fullmatch(folder.name) or not folder.is_dir() or folder.is_symlink():
            continue
        written = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        if time.time() - written > STALE_S and not _is_held(folder.with_suffix(".lock")):
            delete_ours(str(folder), WORK_FILES)


def _is_held(path: Path) -> bool:
    """Say whether a process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path, take: Callable[[int, int], None]) -> int:
    while True:
        # Who had the lock and made nothing takes its empty folder away, at any moment in here.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue
        except FileExistsError as error:
            if (taken := _file_among(path.parents)) is not None:
                raise StorageError(
                    f"{taken} is a file where a folder for prepared data belongs. Move it elsewhere"
                ) from error
            continue
        except OSError as error:
            raise StorageError(
                f"{path} cannot be made: {reason_of(error)}. Prepared data lies beside the runs: "
                "mend that storage, or name another"
            ) from error
        try:
            take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            time.sleep(POLL_S)
            continue
        except OSError as error:
            os.close(descriptor)
            raise StorageError(
                f"{path} cannot be locked: {reason_of(error)}. Mount the storage with locks (flock)"
            ) from error
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def _file_among(folders: Iterable[Path]) -> Path | None:
    """Return the first that is there now and is anything but a folder."""
    for path in folders:
        with suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISDIR(path.stat().st_mode):
                return path
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
