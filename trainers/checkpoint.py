"""Find the newest commit that can be trusted, and read stretches of parameters out of it.

Files hold flat stretches of parameters, keyed `name|what|offset`, so any number of ranks can read
what any number wrote. What the stretches are stands in partitions.py, how they are written in
committing.py.
"""

from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open

from configs.errors import CheckpointError, StorageError
from trainers.damage import find_damage, local_copy
from trainers.manifest import Manifest, list_commits


def find_good_commit(run_dir: str, rank: int, world_size: int) -> tuple[str | None, list[str]]:
    """Find the newest commit whose files have the sizes and hashes of its manifest.

    Collective: every rank calls this; the ranks share the reading and agree before anything loads,
    because a damaged file raises only on the rank that reads it and the others would wait for ever.
    Returns the commit's name, None when there is none at all, and what was found damaged. Raises
    StorageError when the folder cannot be listed.
    """
    problems: list[str] = []
    for name in reversed(_agreed_names(run_dir, rank)):
        mine = find_damage(run_dir, name, rank, world_size)
        everyone: list[list[str]] = [[] for _ in range(world_size)]
        dist.all_gather_object(everyone, mine)
        found = [problem for each in everyone for problem in each]
        if not found:
            return name, problems
        problems += found
    return None, problems


class Reader:
    """Reads stretches of parameters out of a commit's files, whoever wrote them."""

    def __init__(self, run_dir: str, name: str, manifest: Manifest) -> None:
        """Open the files of a verified commit; only their headers are read."""
        self._stretches: dict[tuple[str, str], list[tuple[int, int, int, str]]] = {}
        self._files: list[Any] = []
        for saved in manifest.files:
            path = local_copy(run_dir, name, saved)
            handle: Any = safe_open(str(path), framework="pt")
            for key in handle.keys():  # noqa: SIM118 - safe_open is no dict
                parameter, what, offset = key.rsplit("|", 2)
                count = handle.get_slice(key).get_shape()[0]
                place = (int(offset), count, len(self._files), key)
                self._stretches.setdefault((parameter, what), []).append(place)
            self._files.append(handle)
        for stretches in self._stretches.values():
            stretches.sort()

    def read(self, name: str, what: str, offset: int, count: int) -> torch.Tensor:
        """Read elements [offset, offset + count) of a flattened parameter; shape (count,), fp32.

        Raises CheckpointError when the commit does not hold all of them.
        """
        parts = []
        at, end = offset, offset + count
        for start, size, file, key in self._stretches.get((name, what), []):
            if at < end and start <= at < start + size:
                stop = min(end, start + size)
                parts.append(self._files[file].get_slice(key)[at - start : stop - start])
                at = stop
        if at < end:
            raise CheckpointError(
                f"the commit lacks elements {at} to {end} of {what} of {name}. "
                "Resume from another one"
            )
        return torch.cat(parts) if len(parts) != 1 else parts[0]


def _agreed_names(run_dir: str, rank: int) -> list[str]:
    """List the commits, the same on all ranks, or raise on all of them."""
    told: list[Any] = [None]
    if rank == 0:
        try:
            told = [list_commits(run_dir)]
        except StorageError as error:
            told = [error]
    dist.broadcast_object_list(told, src=0)
    if isinstance(told[0], StorageError):
        raise told[0]
    names: list[str] = told[0]
    return names
