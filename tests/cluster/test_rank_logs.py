"""What ranks leave behind."""

import json
from pathlib import Path

from cluster.rank_logs import innermost_frame, last_exception, read_ranks, trimmed
from tests.past_runs import CLOSED, USAGE, entry, failed_log, write_logs

STACKS = """\
rank 1, 12 s without progress

thread MainThread (1)
  File "/usr/lib/python3.11/threading.py", line 1038, in join
    self._wait()
thread Thread-3 (2)
  File "/tmp/pkg/cluster/worker.py", line 137, in _call
    return Ended.model_validate(function(recipe, place))
  File "/tmp/pkg/trainers/finetune.py", line 80, in finetune
    _train_epoch(session, loop)
  File "/srv/site-packages/torch/distributed/c10d.py", line 9, in all_reduce
    work.wait()
"""
TIMER = """\
Thread 0x00007f1 (most recent call first):
  File "/tmp/pkg/trainers/step.py", line 101 in take_step
  File "/tmp/pkg/cluster/worker.py", line 137 in _call
"""


def test_exception_is_found_with_the_innermost_frame_of_ours() -> None:
    log = failed_log(1, "RuntimeError: size mismatch\n  at 3\n\nsecond line")
    assert last_exception(log) == (
        "RuntimeError",
        "size mismatch\nat 3\nsecond line",
        "trainers/step.py:101 in take_step",
    )
    assert last_exception(failed_log(0, "configs.errors.DataError: row 3: no label"))[:2] == (
        "DataError",
        "row 3: no label",
    )
    assert last_exception(failed_log(0, "KeyboardInterrupt"))[:2] == ("KeyboardInterrupt", "")
    assert last_exception(entry("rank 0 ended: done")) == ("", "", "")


def test_the_last_of_chained_exceptions_counts() -> None:
    first = failed_log(
        0, "KeyError: 'x'\n\nThe above exception was the direct cause of the following"
    )
    body = first.split("\n", 2)
    again = 'Traceback (most recent call last):\n  File "/srv/me/model.py", line 7, in forward\n'
    log = "\n".join([*body[:2], body[2].split("2023-11-14")[0], again + "    x\nValueError: bad\n"])
    assert last_exception(log) == ("ValueError", "bad", "me/model.py:7 in forward")


def test_frames_of_libraries_are_passed_over_where_there_are_others() -> None:
    own = '  File "/site-packages/trainers/step.py", line 3, in take_step\n'
    theirs = '  File "/site-packages/tokenizers/trainers/x.py", line 9, in train\n'
    assert innermost_frame(own + theirs) == "trainers/step.py:3 in take_step"
    assert innermost_frame(theirs) == "trainers/x.py:9 in train"
    assert innermost_frame("") == ""


def test_a_long_text_is_cut() -> None:
    assert trimmed("\n".join(["", *"abcdefgh"])) == "a\nb\nc\nd\ne\nf"
    assert len(trimmed("x" * 9000)) == 500


def test_fates_of_ranks_are_told_apart(tmp_path: Path) -> None:
    logs = {
        0: failed_log(0, CLOSED),
        1: failed_log(1, "RuntimeError: size mismatch", second=40),
        2: entry("imports took 2.1 s"),
        3: entry("rank 3 ended: done") + entry(USAGE),
    }
    place = write_logs(tmp_path, logs)
    reports = read_ranks(str(place))
    assert [report.fate for report in reports] == ["lost another", "failed", "silent", "ended"]
    assert [report.host for report in reports] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"]
    assert reports[1].words == "RuntimeError: size mismatch"
    assert reports[0].time is not None and reports[1].time is not None
    assert reports[1].time - reports[0].time == 10
    assert reports[3].usage is not None and reports[3].usage.peak_mib == 812
    assert reports[2].usage is None


def test_hung_ranks_stand_somewhere(tmp_path: Path) -> None:
    place = write_logs(tmp_path, {0: entry("a"), 1: entry("b"), 2: entry("c")})
    hang = {"rank": 1, "silent_s": 12.0, "is_late": True, "waits": False, "doing": "user.py:3 loop"}
    (place / "rank-1.hang.json").write_text(json.dumps(hang))
    (place / "rank-1.stacks.txt").write_text(STACKS)
    (place / "rank-0.hang.json").write_text(json.dumps({**hang, "rank": 0, "waits": True}))
    (place / "rank-2.stacks.txt").write_text(TIMER)
    waits, hung, mute = read_ranks(str(place))
    assert (waits.fate, hung.fate, mute.fate) == ("waited", "hung", "hung")
    assert hung.stands == "user.py:3 loop"
    assert hung.stack == (
        "cluster/worker.py:137 in _call",
        "trainers/finetune.py:80 in finetune",
        "distributed/c10d.py:9 in all_reduce",
    )
    assert mute.stack == ("cluster/worker.py:137 in _call", "trainers/step.py:101 in take_step")


def test_a_crash_in_native_code_is_seen(tmp_path: Path) -> None:
    crash = "*** SIGSEGV received at time=1700000000 on cpu 1 ***\nPC: @ 0x7f  (unknown)\n"
    (report,) = read_ranks(str(write_logs(tmp_path, {0: entry("a") + crash})))
    assert (report.fate, report.error) == ("failed", "Crash")
    assert report.message.startswith("SIGSEGV received at")
