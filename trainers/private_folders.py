"""Make folders and files that nobody but their owner can read or write, whatever the umask is."""

import errno
import os
import stat
from pathlib import Path

from configs.errors import StorageError


def private_folder(path: Path) -> Path:
    """Make a folder of mode 0700, and its parents, and return it; one of ours is closed again.

    For names that others can guess: raises StorageError where somebody else was there first, or
    where the name is a link.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file is there
        reason = os.strerror(errno.ENOTDIR)
        raise NotADirectoryError(errno.ENOTDIR, reason, str(path.parent)) from error
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            what = "a link" if stat.S_ISLNK(found.st_mode) else "a file"
            raise StorageError(f"{path} should be a folder and is {what}. Delete it") from None
        if found.st_uid != os.getuid():
            raise StorageError(
                f"{path} belongs to another person (uid {found.st_uid}), who could put anything "
                "into it. Have it deleted, or set TMPDIR to a folder of your own"
            ) from None
    if stat.S_IMODE(path.lstat().st_mode) != 0o700:
        path.chmod(0o700)
    return path


def is_private(path: Path) -> bool:
    """Whether a path is a folder of ours that nobody else gets into."""
    try:
        found = path.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return ours and not stat.S_IMODE(found.st_mode) & 0o077


def write_private(path: Path, data: bytes) -> Path:
    """Write a whole file of mode 0600 at once; nobody else can open it at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
