"""Attempts of a run, looked back at."""

from pathlib import Path

from cluster import runs
from cluster.history import read_history, without_retries
from configs.records import Note
from tests.past_runs import (
    START,
    begun,
    commit,
    ended,
    entry,
    retried,
    step,
    write_aftermath,
    write_logs,
    write_run,
)

GAVE_UP = (
    "Gave up after 2 attempts, cluster.max_failures is 1: worker 1 on 10.0.0.5 died. `thaw resume "
    "past` goes on from the last commit"
)


def logged(attempt: int, *numbers: int) -> str:
    """The log of rank 0, which keeps every step record."""
    return "".join(entry(step(number, attempt).model_dump_json()) for number in numbers)


def test_steps_that_were_cut_from_the_records_are_counted_as_lost(tmp_path: Path) -> None:
    records = [
        begun(1),
        step(40),
        commit(40),
        retried(1, "worker 1 on 10.0.0.5 died"),
        begun(2, 40, "worker 1 on 10.0.0.5 died"),
        step(50, 2),
        ended("failed", GAVE_UP, "ClusterError", 40),
    ]
    folder = write_run(tmp_path, records)
    write_logs(folder, {0: logged(1, 40, 47)}, attempt=1)
    write_logs(folder, {0: logged(2, 50)}, attempt=2)
    kept = [*runs.read_records(str(tmp_path), "past")]
    first, second = read_history(str(folder), kept, committed=40)
    assert (first.last_step, first.lost_steps, first.outcome) == (47, 7, "failed")
    assert first.ended == "worker 1 on 10.0.0.5 died"
    assert (second.first_step, second.last_step, second.lost_steps) == (40, 50, 10)
    assert second.ended == "worker 1 on 10.0.0.5 died"


def test_a_pause_and_a_stop_lose_nothing(tmp_path: Path) -> None:
    pause = "attempt 1 paused after step 40: there is room for 4 workers instead of 2"
    records = [
        begun(1),
        step(40),
        Note(time=START, level="info", text=pause),
        begun(2, 40, "there is room for 4 workers instead of 2"),
        step(60, 2),
        ended("stopped", "stopped after step 60 of 120, committed", number=60),
    ]
    first, second = read_history(str(write_run(tmp_path, records)), records, committed=60)
    assert (first.outcome, first.lost_steps) == ("paused", 0)
    assert first.ended.startswith("paused after step 40: there is room")
    assert (second.outcome, second.lost_steps) == ("stopped", 0)


def test_an_attempt_that_ended_before_its_records_is_told_by_its_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [], state="running")
    write_aftermath(write_logs(folder, {0: ""}), "the workers did not start in time")
    (only,) = read_history(str(folder), [], committed=None)
    assert (only.attempt, only.outcome, only.last_step) == (1, "failed", None)
    assert only.ended == "the workers did not start in time"
    assert (only.lost_steps, only.num_workers) == (None, None)


def test_records_alone_tell_what_they_have() -> None:
    (only,) = read_history(None, [begun(1), step(9)], committed=None)
    assert (only.last_step, only.outcome, only.lost_steps) == (9, "", None)


def test_what_ended_the_last_attempt_is_taken_from_giving_up() -> None:
    assert without_retries(GAVE_UP) == "worker 1 on 10.0.0.5 died"
    assert without_retries("row 3 has no label") == "row 3 has no label"


def test_a_run_that_ended_before_its_first_attempt_has_no_history(tmp_path: Path) -> None:
    records = [ended("failed", "4 workers cannot be placed", "ClusterError")]
    assert read_history(str(write_run(tmp_path, records)), records, committed=None) == []


def test_steps_are_those_that_were_done_not_those_that_were_logged() -> None:
    records = [begun(1), step(80), ended("stopped", "stopped after step 90 of 120", number=90)]
    (only,) = read_history(None, records, committed=90)
    assert (only.last_step, only.lost_steps) == (90, 0)


def test_an_attempt_begins_at_the_commit_that_it_fell_back_to() -> None:
    text = "step-00000040.a01/rank-00000.safetensors has 3 bytes, 9 were written"
    back = Note(time=0, level="warning", text=text, event="fell_back", step=20)
    records = [begun(1), step(45), begun(2, 40, reason="resumed"), back, step(41, 2)]
    first, second = read_history(None, records, committed=20)
    assert (first.lost_steps, second.first_step) == (None, 20)


def test_how_an_attempt_ended_is_read_from_fields() -> None:
    said = {"event": "retried", "attempt": 1, "reason": "worker 1 died"}
    note = Note.model_validate({"time": 0, "level": "warning", "text": "so it is", **said})
    first, _ = read_history(None, [begun(1), step(9), note, begun(2, 5)], committed=5)
    assert (first.outcome, first.ended, first.lost_steps) == ("failed", "worker 1 died", 4)
