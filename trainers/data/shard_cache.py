"""Files of a remote prepared set that are kept on this node, at most so many bytes of them.

All sets and all ranks of a node share one folder. The file that was asked for longest ago goes
first; whoever still maps it keeps its bytes until the map ends.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from trainers.private_folders import private_folder

DEFAULT_BYTES = 50 * 2**30

Fetch = Callable[[str, Path], None]


def node_folder() -> Path:
    """Return the folder that the processes of one person share on a node, closed to others.

    Raises StorageError where another person made it first.
    """
    return private_folder(Path(tempfile.gettempdir(), f"thaw-{os.getuid()}"))


def touch(path: Path) -> None:
    """Note that a file was asked for now."""
    os.utime(path)


def fetch_within(root: Path, path: Path, address: str, max_bytes: int, fetch: Fetch) -> None:
    """Fetch a file into the folder `root`, then delete the oldest others beyond `max_bytes`.

    Raises NotFoundError or StorageError where the address cannot be read.
    """
    fetch(address, path)
    touch(path)
    kept = sorted(_files(root), key=lambda file: file[1], reverse=True)
    total = 0
    for file, _, num_bytes in kept:
        total += num_bytes
        if total > max_bytes and file != path:
            file.unlink(missing_ok=True)


def _files(root: Path) -> list[tuple[Path, int, int]]:
    """List files with the time they were asked for and their sizes; others may delete meanwhile."""
    found = []
    for path in root.rglob("*.arrow"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((path, status.st_mtime_ns, status.st_size))
    return found
