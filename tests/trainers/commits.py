"""Commits of made-up pieces, written as a run writes its own, and waited for."""

import time
from collections.abc import Iterable

import torch.distributed as dist

from configs.records import Record
from configs.run_sections import Checkpoint
from trainers.commit_thread import Part
from trainers.committing import Commits
from trainers.manifest import NAME, Cursor, Manifest, read_manifest
from trainers.partitions import Piece
from trainers.place import Place
from trainers.retention import Policy

ALL = Policy(keep_last=1000, keep_best=1, lower_is_better=True)


def made_manifest(step: int, **changes: object) -> Manifest:
    """Make the manifest of a commit that holds nothing yet."""
    empty = Manifest(
        cursor=Cursor(step=step),
        data_fingerprint="",
        arithmetic={},
        parameters={},
        frozen=None,
        files=(),
    )
    return empty.model_copy(update=changes)


def open_commits(
    run_dir: str, rank: int, told: list[Record], *, attempt: int = 1, deadline_s: float = 0.0
) -> Commits:
    """Open the commits of a rank; what rank 0 reports goes to `told`."""
    place = Place(rank, dist.get_world_size(), rank, run_dir, "", attempt, "cpu")
    return Commits(place, Checkpoint(deadline_s=deadline_s), told.append, lambda: None)


def commit_now(
    run_dir: str, name: str, pieces: Iterable[Piece], manifest: Manifest, rank: int
) -> Manifest:
    """Commit and wait for it. Collective: every rank calls this."""
    commits = open_commits(run_dir, rank, [])
    parts = [Part(name, [*pieces], manifest)]
    if NAME.fullmatch(name):
        commits.begin(parts, ALL, time.monotonic())
        commits.settle()
    else:
        commits.write(parts, ALL)
    return read_manifest(run_dir, name)
