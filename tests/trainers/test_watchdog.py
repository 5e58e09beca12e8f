"""Ranks that hang, each in its own way: all stacks are written, all processes end by themselves."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.on_ranks import on_ranks
from trainers.agreement import reduced
from trainers.heartbeat import beat
from trainers.place import Place
from trainers.watchdog import GRACE_S, Hang, watched

LIMIT_S = 1.5
Step = Callable[[Path], object]


def loop_in_user_code(folder: Path) -> None:
    """Compute without end, as somebody's loss may do."""
    while True:
        torch.ones(3).sum()


def read_what_nobody_writes(folder: Path) -> None:
    """Open a file on a storage that never answers."""
    (folder / "pipe").open("rb").read()


def hold_the_lock(folder: Path) -> None:
    """Sleep in C while nobody else can run Python in this process."""
    ctypes.PyDLL(None).sleep(60)


def meet(folder: Path) -> None:
    reduced([1])


def never_meet(folder: Path) -> None:
    """Wait in a collective that the others never enter."""
    dist.barrier()


def _hang(rank: int, world_size: int, folder: Path, stuck: Step) -> str:
    (folder / f"rank-{rank}.pid").write_text(str(os.getpid()))
    with watched(str(folder), Place(rank, world_size, rank, "", "", 1, "cpu"), LIMIT_S):
        meet(folder)
        (stuck if rank == 1 else meet)(folder)
    return "went on"


def hung(folder: Path, stuck: Step) -> tuple[list[str], list[Hang]]:
    """Let rank 1 of two hang; gives the stacks, and what those said that could say something."""
    os.mkfifo(folder / "pipe")
    started = time.monotonic()
    with pytest.raises(AssertionError, match="ended without an answer"):
        on_ranks(2, _hang, folder, stuck)
    assert time.monotonic() - started < 30 + GRACE_S
    for rank in range(2):
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / f"rank-{rank}.pid").read_text()), 0)
    stacks = [(folder / f"rank-{rank}.stacks.txt").read_text() for rank in range(2)]
    told = [folder / f"rank-{rank}.hang.json" for rank in range(2)]
    return stacks, [Hang.model_validate_json(p.read_text()) for p in told if p.exists()]


@pytest.mark.parametrize("stuck", [loop_in_user_code, read_what_nobody_writes])
def test_a_rank_that_gets_no_further_ends_all(tmp_path: Path, stuck: Step) -> None:
    stacks, (first, second) = hung(tmp_path, stuck)
    assert "in reduced" in stacks[0]
    assert f"in {stuck.__name__}" in stacks[1]
    assert (first.rank, first.waits) == (0, True)
    assert "trainers/agreement.py" in first.doing
    assert (second.rank, second.waits, second.is_late) == (1, False, True)
    assert second.silent_s >= LIMIT_S


def test_a_rank_that_holds_the_interpreter_is_ended_too(tmp_path: Path) -> None:
    stacks, told = hung(tmp_path, hold_the_lock)
    assert "in hold_the_lock" in stacks[1]
    assert "in reduced" in stacks[0]
    # Rank 1 could not say anything; nobody answered rank 0, which ended.
    assert [(hang.rank, hang.waits, hang.is_late) for hang in told] == [(0, True, True)]


def test_ranks_that_wait_for_each_other_end(tmp_path: Path) -> None:
    stacks, told = hung(tmp_path, never_meet)
    assert "in never_meet" in stacks[1]
    assert [(hang.rank, hang.waits) for hang in told] == [(0, True), (1, True)]
    assert any(hang.is_late for hang in told)


def _get_on(rank: int, world_size: int, folder: Path) -> tuple[list[str], float]:
    place = Place(rank, world_size, rank, "", "", 1, "cpu")
    before = signal.getitimer(signal.ITIMER_REAL)
    with watched(str(folder), place, LIMIT_S):
        if rank == 0:
            # Longer than the others may be silent; they ask, and hear that somebody gets on.
            limit = time.monotonic() + 3 * LIMIT_S
            while time.monotonic() < limit:
                beat()
                time.sleep(0.05)
        meet(folder)
        # Later than a limit, the whole process stands still; nobody else can tell the two apart.
        if rank == 1:
            pid = os.getpid()
            waker = os.fork()
            if not waker:
                time.sleep(2 * LIMIT_S)
                os.kill(pid, signal.SIGCONT)
                os._exit(0)
            os.kill(pid, signal.SIGSTOP)
            os.waitpid(waker, 0)
            time.sleep(LIMIT_S / 2)
        else:
            limit = time.monotonic() + 2 * LIMIT_S
            while time.monotonic() < limit:
                beat()
                time.sleep(0.05)
        meet(folder)
    assert signal.getitimer(signal.ITIMER_REAL) == before == (0.0, 0.0)
    time.sleep(0.3)
    alive = [thread.name for thread in threading.enumerate() if "watchdog" in thread.name]
    return alive, time.monotonic()


def test_who_gets_on_or_was_stopped_is_left_alone(tmp_path: Path) -> None:
    answers = on_ranks(2, _get_on, tmp_path)
    assert [alive for alive, _ in answers] == [[], []]
    assert {path.suffix for path in tmp_path.iterdir()} <= {".asks", ".alive"}
