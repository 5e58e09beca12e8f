"""Small disks for tests that fill them, and folders that vanish for a while."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Of Linux's fcntl.h and renameat2(2).
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """Mount a filesystem of that size at a folder; skips the test where that is not allowed."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "thaw-test", str(folder)]
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root mounts filesystems")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk but for some bytes; deleting the file that is returned frees it again."""
    path = disk / "filler"
    free = shutil.disk_usage(disk).free - leave
    path.write_bytes(b"\0" * max(0, free))
    return path


def take_away(folder: Path) -> Path:
    """Put a file in a folder's place, so nobody can write there; gives where the folder went."""
    away = folder.with_name(f"{folder.name}.away")
    away.touch()
    _exchange(folder, away)
    return away


def bring_back(folder: Path, away: Path) -> None:
    """Put a folder back that was taken away."""
    _exchange(folder, away)
    away.unlink()


def _exchange(one: Path, other: Path) -> None:
    """Swap two names at once: in between, a writer would make a folder of its own there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "two names were not swapped", str(one))
