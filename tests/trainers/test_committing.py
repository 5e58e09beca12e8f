"""Commits on their way while two ranks go on: agreed without a collective, told when they exist."""

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from configs.errors import LockedError, StorageError, TrainingError
from configs.records import Committed, Note, Record
from tests.on_ranks import on_ranks
from tests.trainers.commits import ALL, made_manifest, open_commits
from trainers import storage
from trainers.checkpoint import Reader
from trainers.commit_thread import Part
from trainers.committing import Commits
from trainers.manifest import checkpoint_name, list_commits, read_manifest
from trainers.partitions import Piece

LIMIT_S = 60
NAMES = [checkpoint_name(step, 1) for step in (1, 2, 3)]


def _begin(commits: Commits, rank: int, step: int, state: torch.Tensor) -> None:
    """Copy the state and begin to commit it."""
    commits.memory.begin()
    values = commits.memory.keep("w", state, torch.float32)
    commits.memory.end()
    part = Part(
        checkpoint_name(step, 1), [Piece("w", "weight", 4 * rank, values)], made_manifest(step)
    )
    commits.begin([part], ALL, time.monotonic())


def _go_on(rank: int, world_size: int, run_dir: str) -> dict[str, object]:
    """Train while a commit cannot be sealed yet; then commit again, and wait."""
    told: list[Record] = []
    gate = threading.Event()
    commits = open_commits(run_dir, rank, told, deadline_s=LIMIT_S)
    commits._ready = partial(gate.wait, LIMIT_S)
    state = torch.full((4,), float(rank))
    _begin(commits, rank, 1, state)
    for _ in range(5):
        state += 1  # training goes on
        commits.notice()
    before = (list_commits(run_dir), list(told), commits.newest)
    gate.set()
    commits.settle()
    after = (list_commits(run_dir), commits.newest)
    _begin(commits, rank, 2, state)
    commits.settle()
    commits.settle()  # nothing is on its way
    return {"before": before, "after": after, "told": told}


def _fail_on_one(rank: int, world_size: int, run_dir: str) -> tuple[str, list[str]]:
    """Rank 1 cannot write: its name is taken by a folder."""
    if rank == 1:
        folder = storage.join(run_dir, "checkpoints", NAMES[0])
        storage.make_folder(storage.join(folder, "rank-00001.safetensors"))
    commits = open_commits(run_dir, rank, [], deadline_s=0.0)
    _begin(commits, rank, 1, torch.zeros(4))
    try:
        commits.settle()
    except StorageError as error:
        return str(error), storage.list_names(storage.join(run_dir, "checkpoints"))
    return "", []


def _be_superseded(rank: int, world_size: int, run_dir: str) -> tuple[str, list[str]]:
    """Sleep while another attempt takes the run over; then try to commit."""
    commits = open_commits(run_dir, rank, [], deadline_s=LIMIT_S)
    _begin(commits, rank, 1, torch.zeros(4))
    commits.settle()
    if rank == 0:
        storage.write_atomically(storage.join(run_dir, "lock", "0002"), b"{}")
    _begin(commits, rank, 2, torch.zeros(4))
    try:
        commits.settle()
    except LockedError as error:
        return str(error), list_commits(run_dir)
    return "", []


def _be_late(rank: int, world_size: int, run_dir: str) -> list[Record]:
    """Commit into a folder whose place is taken for a while, and notice each step."""
    told: list[Record] = []
    commits = open_commits(run_dir, rank, told, deadline_s=LIMIT_S)
    taken = Path(run_dir, "checkpoints", NAMES[0], "rank-00000.safetensors")
    if rank == 0:
        taken.mkdir(parents=True)
    _begin(commits, rank, 1, torch.zeros(4))
    limit = time.monotonic() + LIMIT_S
    while rank == 0 and len(told) < 1:
        assert time.monotonic() < limit
        commits.notice()
    for _ in range(10):
        commits.notice()
    if rank == 0:
        taken.rmdir()
    commits.settle()
    return told


def _be_noticed_late(rank: int, world_size: int, run_dir: str) -> tuple[list[Record], float]:
    """Commit at once, but as if training had begun to wait 66 s ago and notices only now."""
    told: list[Record] = []
    commits = open_commits(run_dir, rank, told, deadline_s=LIMIT_S)
    _begin(commits, rank, 1, torch.zeros(4))
    thread = commits._thread
    assert thread is not None
    thread.wait(LIMIT_S)
    took = thread.ended() - commits._started
    commits.notice()
    commits._started -= 66  # nothing is said of a commit that is there already
    commits.notice()
    commits.settle()
    return told, took


def _break(rank: int, world_size: int, run_dir: str) -> str:
    """Commit what is no tensor on rank 1: a defect of ours, which no other try mends."""
    commits = open_commits(run_dir, rank, [], deadline_s=LIMIT_S)
    piece: Any = Piece("w", "weight", 4 * rank, torch.zeros(4) if rank == 0 else None)
    commits.begin([Part(NAMES[0], [piece], made_manifest(1))], ALL, time.monotonic())
    try:
        commits.settle()
    except TrainingError as error:
        return str(error)
    return ""


def _all(rank: int, world_size: int, folder: str) -> list[object]:
    cases = (_go_on, _fail_on_one, _be_superseded, _be_late, _be_noticed_late, _break)
    return [case(rank, world_size, f"{folder}/{case.__name__}") for case in cases]


def test_commits_of_two_ranks(tmp_path: Path) -> None:
    by_rank = on_ranks(2, _all, str(tmp_path))
    _training_goes_on(by_rank, str(tmp_path / "_go_on"))
    _one_that_fails_ends_all(by_rank)
    _an_older_claim_is_refused(by_rank)
    _what_is_late_is_said_once(by_rank)
    _what_is_there_is_not_late(by_rank)
    _a_defect_ends_all(by_rank)


def _training_goes_on(by_rank: list[list[dict[str, object]]], run_dir: str) -> None:
    for rank, (went, *_) in enumerate(by_rank):
        assert went["before"] == ([], [], None), rank
        assert went["after"] == (NAMES[:1], NAMES[0]), rank
    told = by_rank[0][0]["told"]
    assert isinstance(told, list)
    assert [(r.checkpoint, r.step) for r in told if isinstance(r, Committed)] == [
        (NAMES[0], 1),
        (NAMES[1], 2),
    ]
    assert all(0 < r.stalled_s <= r.seconds and r.num_bytes > 32 for r in told)
    assert by_rank[1][0]["told"] == []
    for name, added in ((NAMES[0], 0), (NAMES[1], 5)):
        manifest = read_manifest(run_dir, name)
        read = Reader(run_dir, name, manifest).read("w", "weight", 0, 8)
        assert read.tolist() == [added + 0.0] * 4 + [added + 1.0] * 4


def _one_that_fails_ends_all(by_rank: list[list[tuple[str, list[str]]]]) -> None:
    answers = [answer[1] for answer in by_rank]
    assert all("rank-00001.safetensors could not be written" in said for said, _ in answers)
    assert all(said.endswith("or repair it") for said, _ in answers)
    assert answers[0][1] == []


def _a_defect_ends_all(by_rank: list[list[str]]) -> None:
    for answer in by_rank:
        assert answer[5].startswith("a commit failed: "), answer[5]
        assert answer[5].endswith("before it are whole: report this as a defect"), answer[5]


def _an_older_claim_is_refused(by_rank: list[list[tuple[str, list[str]]]]) -> None:
    for answer in by_rank:
        said, left = answer[2]
        assert "attempt 2 has taken the run over" in said
        assert left == NAMES[:1]


def _what_is_late_is_said_once(by_rank: list[list[list[Record]]]) -> None:
    warning, committed = by_rank[0][3]
    assert isinstance(warning, Note)
    assert warning.level == "warning"
    assert f"{NAMES[0]} is late" in warning.text
    assert "Training goes on" in warning.text
    assert isinstance(committed, Committed)


def _what_is_there_is_not_late(by_rank: list[list[tuple[list[Record], float]]]) -> None:
    told, took = by_rank[0][4]
    (committed,) = told
    assert isinstance(committed, Committed)
    assert committed.seconds == took
