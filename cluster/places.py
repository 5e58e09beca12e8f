"""Keep the folders of runs inside of their storage, links included; runs.py says what they hold."""

import os
from collections.abc import Iterator
from pathlib import Path

from configs.errors import StorageError
from configs.names import check_run_name
from trainers import storage as files

DEPTH = 2
"""Levels below a run's folder at which a link is looked for: logs, commits, files beside them."""


def run_folder(storage: str, name: str) -> str:
    """Give the address of a run's directory.

    Raises RecipeError for what is no name of a run, StorageError for a link in its place.
    """
    folder = files.join(storage, check_run_name(name))
    if is_linked(storage, name):
        target = Path(os.path.realpath(folder))
        raise StorageError(
            f"{folder} is a link to {target}, not the folder of a run. Put the folder itself "
            f"there, or name its own place with --storage {target.parent}"
        )
    return folder


def is_linked(storage: str, name: str) -> bool:
    """Say whether a link stands in the place of a run's folder."""
    path = files.local_path(files.join(storage, name))
    return path is not None and path.is_symlink()


def refuse_links(folder: str) -> None:
    """Raise StorageError for a link in a run's folder that leads out of it.

    Whoever is to write there asks first; an object store has no links.
    """
    path = files.local_path(folder)
    if path is None:
        return
    inside = Path(os.path.realpath(path))
    for link in _links(path, DEPTH):
        target = Path(os.path.realpath(link))
        if target != inside and inside not in target.parents:
            raise StorageError(
                f"{link} is a link to {target}, which lies outside of its run. Replace it by the "
                "files themselves"
            )


def _links(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_symlink():
            yield Path(entry.path)
        elif depth > 1 and entry.is_dir():
            yield from _links(Path(entry.path), depth - 1)
