"""Commit training state as safetensors and JSON, and find the newest commit that can be trusted.

A commit is a folder `step-00000120.a01` with one safetensors file per rank and MANIFEST.json, which
holds the counters and is written last: without it the folder is nothing. Files hold flat stretches
of parameters, keyed `name|what|offset`, so any number of ranks can read what any number wrote. What
the stretches are stands in partitions.py.
"""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from configs.errors import CheckpointError, NotFoundError, StorageError
from trainers import storage
from trainers.early_stopping import Best
from trainers.partitions import Piece

MANIFEST = "MANIFEST.json"
FOLDER = "checkpoints"
NAME = re.compile(r"step-(\d{8})\.a(\d{2,})")
FROZEN_RECORD = ConfigDict(frozen=True, extra="forbid")


class SavedFile(BaseModel):
    """One file of a commit, as it must be found again."""

    model_config = FROZEN_RECORD
    name: str
    num_bytes: int
    hash: str


class Cursor(BaseModel):
    """Where training stands; with the weights and moments it is all that a resume needs."""

    model_config = FROZEN_RECORD
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Optimizer steps done."""
    step_in_epoch: int = 0
    """Optimizer steps done in the current epoch."""
    rows: int = 0
    """Rows counted in the current epoch, all ranks."""
    id_sum: int = 0
    """Sum of their row ids mod 2^64."""
    best: Best = Best()
    """The evaluations so far."""
    best_checkpoint: str | None = None
    """Commit that holds the best weights."""
    stopped_early: bool = False
    """Whether early stopping ended training."""
    phase: int = 0
    """Phases done."""
    phase_starts: tuple[int, ...] = (0,)
    """Optimizer steps done when each phase so far began."""
    phase_best: Best = Best()
    """The evaluations of this phase."""


class Manifest(BaseModel):
    """What a commit consists of."""

    model_config = FROZEN_RECORD
    version: Literal[1] = 1
    cursor: Cursor
    data_fingerprint: str
    arithmetic: dict[str, Any]
    """The recipe's values that fix order and numbers; a resume must agree with them."""
    parameters: dict[str, int]
    """Saved parameters and their number of elements: what learns, and what learned before."""
    buffers: dict[str, int] = {}
    """Running statistics of batch norms and their number of elements."""
    frozen: str | None
    """Name of the folder with the frozen weights; None when nothing is frozen."""
    files: tuple[SavedFile, ...]


def checkpoint_name(step: int, attempt: int) -> str:
    """Name the commit of a step in an attempt."""
    return f"step-{step:08d}.a{attempt:02d}"


def step_of(name: str) -> int:
    """Give the step of a commit from its name."""
    return _step_and_attempt(name)[0]


def commit(
    run_dir: str, name: str, pieces: Iterable[Piece], manifest: Manifest, rank: int
) -> Manifest:
    """Write one rank's pieces and, on rank 0 after all ranks have written, the manifest.

    Collective: every rank calls this. Raises StorageError on all ranks when one cannot write.
    Returns the manifest with its files.
    """
    folder = storage.join(run_dir, FOLDER, name)
    written: SavedFile | StorageError
    try:
        written = _write_pieces(folder, f"rank-{rank:05d}.safetensors", pieces)
    except StorageError as error:
        written = error
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, written)
    failed = [result for result in everyone if isinstance(result, StorageError)]
    if failed:
        if rank == 0:
            storage.delete(folder)
        raise failed[0]
    manifest = manifest.model_copy(update={"files": tuple(everyone)})
    problem: list[StorageError | None] = [None]
    if rank == 0:
        try:
            text = manifest.model_dump_json(indent=1).encode()
            storage.write_atomically(storage.join(folder, MANIFEST), text)
        except StorageError as error:
            problem = [error]
    dist.broadcast_object_list(problem, src=0)
    if problem[0] is not None:
        raise problem[0]
    return manifest


def list_commits(run_dir: str) -> list[str]:
    """Give the names of the committed checkpoints, newest last."""
    root = storage.join(run_dir, FOLDER)
    names = [name for name in storage.list_names(root) if NAME.fullmatch(name)]
    found = [name for name in names if storage.exists(storage.join(root, name, MANIFEST))]
    return sorted(found, key=_step_and_attempt)


def read_manifest(run_dir: str, name: str) -> Manifest:
    """Read a commit's manifest; raises CheckpointError when it is damaged."""
    address = storage.join(run_dir, FOLDER, name, MANIFEST)
    try:
        return Manifest.model_validate_json(storage.read_bytes(address))
    except (ValueError, NotFoundError) as error:
        raise CheckpointError(f"{address} is damaged: {error}") from error


def find_good_commit(run_dir: str, rank: int, world_size: int) -> tuple[str | None, list[str]]:
    """Find the newest commit whose files have the sizes and hashes of its manifest.

    Collective: every rank calls this; the ranks share the reading and agree before anything loads,
    because a damaged file raises only on the rank that reads it and the others would wait for ever.
    Returns the commit's name, None when there is none at all, and what was found damaged.
    """
    names: list[list[str]] = [list_commits(run_dir) if rank == 0 else []]
    dist.broadcast_object_list(names, src=0)
    problems: list[str] = []
    for name in reversed(names[0]):
        mine = _damage(run_dir, name, rank, world_size)
        everyone: list[list[str]] = [[] for _ in range(world_size)]
        dist.all_gather_object(everyone, mine)
        found = [problem for each in everyone for problem in each]
        if not found:
            return name, problems
        problems += found
    return None, problems


def delete_old_commits(run_dir: str, keep_last: int, keep: str | None) -> None:
    """Delete all commits but the newest `keep_last` and the one named `keep`; rank 0 calls this."""
    for name in list_commits(run_dir)[:-keep_last]:
        if name != keep:
            folder = storage.join(run_dir, FOLDER, name)
            # The manifest goes first: a folder without one is nothing, also after a kill in here.
            storage.delete(storage.join(folder, MANIFEST))
            storage.delete(folder)


class Reader:
    """Reads stretches of parameters out of a commit's files, whoever wrote them."""

    def __init__(self, run_dir: str, name: str, manifest: Manifest) -> None:
        """Open the files of a verified commit; only their headers are read."""
        self._stretches: dict[tuple[str, str], list[tuple[int, int, int, str]]] = {}
        self._files: list[Any] = []
        for saved in manifest.files:
            path = _local_copy(run_dir, name, saved)
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


def _step_and_attempt(name: str) -> tuple[int, int]:
    found = NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), int(found[2])


def _write_pieces(folder: str, file_name: str, pieces: Iterable[Piece]) -> SavedFile:
    tensors = {f"{p.name}|{p.what}|{p.offset}": p.values for p in pieces}
    address = storage.join(folder, file_name)
    local = storage.local_path(address)
    try:
        if local is not None:
            local.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, local)
            storage.sync_file(local)
            return SavedFile(
                name=file_name, num_bytes=local.stat().st_size, hash=storage.file_hash(local)
            )
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / file_name
            save_file(tensors, path)
            storage.upload(path, address)
            return SavedFile(
                name=file_name, num_bytes=path.stat().st_size, hash=storage.file_hash(path)
            )
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{address} could not be written: {error}") from error


def _damage(run_dir: str, name: str, rank: int, world_size: int) -> list[str]:
    """Check this rank's share of a commit's files; returns a sentence for each damaged one."""
    try:
        manifest = read_manifest(run_dir, name)
    except CheckpointError as error:
        return [str(error)] if rank == 0 else []
    problems = (
        [] if manifest.frozen is None else _damage(run_dir, manifest.frozen, rank, world_size)
    )
    for saved in manifest.files[rank::world_size]:
        try:
            path = _local_copy(run_dir, name, saved)
        except (NotFoundError, StorageError) as error:
            problems.append(f"{name}: {error}")
            continue
        if path.stat().st_size != saved.num_bytes:
            found = path.stat().st_size
            problems.append(
                f"{name}/{saved.name} has {found} bytes, {saved.num_bytes} were written"
            )
        elif storage.file_hash(path) != saved.hash:
            problems.append(f"{name}/{saved.name} does not have the bytes that were written")
    return problems


def _local_copy(run_dir: str, name: str, saved: SavedFile) -> Path:
    address = storage.join(run_dir, FOLDER, name, saved.name)
    local = storage.local_path(address)
    if local is not None:
        if not local.exists():
            raise NotFoundError(f"{address} does not exist")
        return local
    cache = Path(tempfile.gettempdir()) / "thaw-checkpoints" / storage.bytes_hash(address.encode())
    path = cache / saved.hash
    if not path.exists():
        storage.download(address, path)
    return path
