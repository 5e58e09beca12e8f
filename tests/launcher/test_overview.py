"""How runs stand, as lines and tables."""

import time

from launcher.overview import (
    describe_lines,
    evaluation_table,
    every_metric_table,
    list_row,
    status_lines,
    step_table,
)
from launcher.progress import progress_of
from tests.launcher.fake_cluster import FakeCluster
from tests.launcher.made_up_run import EVALUATED, START, STORY, step_record


def rows(lines):
    return [row for line in lines for row in line.rows(None)]


def test_status_of_a_live_run_shows_progress_and_what_to_do():
    state = FakeCluster().add_run("runs", state="running")
    told = rows(status_lines(state, progress_of("small", STORY[:6]), now=START + 211))
    assert told[0] == "running   small \u00b7 for 3 m 31 s \u00b7 1 attempt"
    assert (
        "step      120/1,120 | epoch 0.86 | attempt 1 | 8 m 20 s left | as of 1 m 29 s ago" in told
    )
    assert told[-1] == "next      thaw watch small \u00b7 thaw stop small"


def test_status_before_the_first_step_says_what_is_waited_for():
    state = FakeCluster().add_run("runs", state="preparing")
    told = rows(status_lines(state, progress_of("small", []), now=START + 5))
    assert told[1].strip() == "waiting for the job"


def test_status_of_a_failed_run_gives_reason_and_way_on():
    state = FakeCluster().add_run("runs", state="failed", message="A node was lost")
    told = rows(status_lines(state, progress_of("small", []), now=START + 432))
    assert told == [
        "failed    small \u00b7 1 m ago, after 6 m 12 s \u00b7 1 attempt",
        "reason    A node was lost",
        "next      thaw why small \u00b7 thaw resume small \u00b7 thaw logs small",
    ]


def test_a_row_of_the_list():
    state = FakeCluster().add_run("runs")
    row = list_row(state, 1_120, now=START + 3_600)
    assert row == ("small", "succeeded", "1,120", "1", "macro F1 0.7125", "1 h ago")


def test_describe_names_attempts_commits_and_files():
    cluster = FakeCluster()
    state = cluster.add_run("runs", data_dir="runs/.prepared/f")
    told = rows(describe_lines(state, cluster.recipes["runs", "small"], STORY))
    for start in (
        "attempt 1 submitted \u00b7 from the start \u00b7 rank 0 on one, rank 1 on two",
        "saved     1 commit made \u00b7 last at step 140 \u00b7 3.0 MiB \u00b7 "
        "checkpoints/step-00000140.a01 \u00b7 those kept: thaw checkpoints list",
        "files     runs/small",
        "prepared  runs/.prepared/f",
        "jobs      small.01",
    ):
        assert start in told


def test_tables_have_a_column_for_the_metrics_looked_at_first_and_a_row_for_every_one():
    other = EVALUATED.model_copy(
        update={"split": "test", "metrics": {"accuracy": 1.0, "top5": 1.0}, "best": False}
    )
    header, body = evaluation_table([EVALUATED, step_record(), other])
    assert header == ["STEP", "EPOCH", "SPLIT", "ROWS", "MACRO F1", "ACCURACY", "LOSS"]
    assert body[1] == ["140", "1.00", "test", "994", "", "1.0000", ""]
    header, body = every_metric_table([EVALUATED, step_record(), other])
    assert header == ("STEP", "EPOCH", "SPLIT", "METRIC", "VALUE")
    assert len(body) == len(EVALUATED.metrics) + 2
    assert body[-1] == ["140", "1.00", "test", "top5", "1.0000"]
    header, body = step_table([EVALUATED, step_record()])
    assert len(header) == len(body[0]) and len(body) == 1


def test_describe_counts_the_time_of_a_live_run_until_now():
    cluster = FakeCluster()
    began = time.time() - 7_200
    state = cluster.add_run("runs", state="running", created=began, updated=began + 52)
    (first, *_) = rows(describe_lines(state, cluster.recipes["runs", "small"], ()))
    assert first.endswith(" \u00b7 2 h")
