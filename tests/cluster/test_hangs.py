"""What is told of a hang, from the files that ranks leave behind."""

from pathlib import Path

from cluster import hangs
from cluster.hangs import EndWatch, read_hang
from trainers.watchdog import Hang


def leave(folder: Path, *told: Hang, ranks: int = 2) -> str:
    for rank in range(ranks):
        (folder / f"rank-{rank}.json").write_text("{}")
    for hang in told:
        (folder / f"rank-{hang.rank}.hang.json").write_text(hang.model_dump_json())
    return str(folder)


def made(rank: int, doing: str, *, waits: bool, is_late: bool = True) -> Hang:
    return Hang(rank=rank, silent_s=601.2, is_late=is_late, waits=waits, doing=doing)


def test_no_hang_is_told_of_an_attempt_without_one(tmp_path: Path) -> None:
    logs = leave(tmp_path)
    (tmp_path / "rank-0.stacks.txt").write_text("")
    assert read_hang(logs) is None
    assert EndWatch(logs).overdue() is None


def test_the_rank_outside_of_collectives_is_named(tmp_path: Path) -> None:
    waiting = made(0, "trainers/agreement.py:38 joined", waits=True)
    called = made(2, "trainers/step.py:90 take_step", waits=False, is_late=False)
    stuck = made(1, "trainers/step.py:106 take_step, there in mine/loss.py:7 sum", waits=False)
    failure = read_hang(leave(tmp_path, waiting, stuck, called, ranks=3))
    assert failure is not None
    assert (failure.final, failure.exit_code, failure.error) == (False, 7, "HangError")
    assert failure.message == (
        "rank 1 made no progress for 601 s in trainers/step.py:106 take_step, there in "
        "mine/loss.py:7 sum; in collectives wait rank 0 in trainers/agreement.py:38 joined. "
        f"Read {tmp_path}/rank-*.stacks.txt, or raise faults.watchdog_s where such work may take "
        "that long"
    )


def test_a_rank_that_could_say_nothing_is_named(tmp_path: Path) -> None:
    failure = read_hang(leave(tmp_path, made(0, "joined", waits=True)))
    assert failure is not None
    assert failure.message.startswith("rank 1 does not answer: its Python does not run; in coll")


def test_a_lone_rank_that_could_say_nothing_left_its_stacks(tmp_path: Path) -> None:
    logs = leave(tmp_path, ranks=1)
    (tmp_path / "rank-0.stacks.txt").write_text("Timeout (0:10:00)!")
    failure = read_hang(logs)
    assert failure is not None
    assert failure.message.startswith("rank 0 does not answer")


def test_ranks_that_wait_for_each_other_are_told_so(tmp_path: Path) -> None:
    failure = read_hang(leave(tmp_path, made(0, "a", waits=True), made(1, "b", waits=True)))
    assert failure is not None
    assert failure.message.startswith("all ranks wait for each other: rank 0 in a, rank 1 in b.")


def test_processes_that_do_not_end_are_noticed(tmp_path: Path) -> None:
    logs = leave(tmp_path, made(0, "a", waits=False), made(1, "b", waits=True))
    watch = EndWatch(logs)
    assert watch.overdue() is None  # they have a minute
    watch._since, watch._next_look = -hangs.END_LIMIT_S, 0.0
    failure = watch.overdue()
    assert failure is not None
    assert failure.message.startswith("rank 0 made no progress")
