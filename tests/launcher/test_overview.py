"""How runs stand, as lines and tables."""

import time

from launcher.messages import Story
from launcher.overview import (
    LIST_DROP,
    LIST_HEADER,
    describe_lines,
    evaluation_table,
    every_metric_table,
    list_row,
    metrics_table,
    status_lines,
    step_table,
    with_owners,
)
from launcher.progress import progress_of, standing
from launcher.terminal import Terminal
from tests.launcher.fake_cluster import FakeCluster
from tests.launcher.made_up_run import DATA, EVALUATED, START, STORY, ended, step_record


def rows(lines):
    return [row for line in lines for row in line.rows(None)]


def test_status_of_a_live_run_shows_progress_and_what_to_do():
    state = FakeCluster().add_run("runs", state="running")
    told = rows(status_lines(state, progress_of("small", STORY[:6]), now=START + 211))
    assert told[0] == "running   small \u00b7 for 3 m 31 s \u00b7 1 attempt"
    far = "step      120/1,120 | epoch 0.86 | attempt 1 | 8 m 20 s left | as of 1 m 29 s ago"
    assert far.replace(" | ", " \u00b7 ") in told
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
        "next      thaw why small \u00b7 thaw logs small",
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


def test_a_table_of_steps_has_tokens_where_rows_have_them():
    header, rows, _ = metrics_table([step_record()], steps=True, everything=False)
    assert "TOKENS/S" in header and len(rows[0]) == len(header)
    of_images = [step_record(tokens_per_s=None)]
    header, rows, _ = metrics_table(of_images, steps=True, everything=False)
    assert "TOKENS/S" not in header and len(rows[0]) == len(header)


def test_all_verbs_say_the_same_time_of_a_run():
    cluster = FakeCluster()
    began = time.time() - 7_200
    worked = {"created": began, "updated": began + 3_700, "began": began + 3_660, "worked_s": 100.0}
    state = cluster.add_run("runs", **worked)
    assert rows(status_lines(state, progress_of("small", STORY), now=began + 7_200))[0].endswith(
        "58 m 20 s ago, after 1 m 40 s \u00b7 1 attempt"
    )
    (first, *_) = rows(describe_lines(state, cluster.recipes["runs", "small"], ()))
    assert first.endswith("1 m 40 s")
    (done, *_) = Story("small").tell(ended(worked_s=100.0))
    assert done.parts[-1] == "1 m 40 s"
    assert standing(state, progress_of("small", STORY), live=False)["worked_s"] == 100.0


def test_describe_says_what_a_person_should_know_of_the_data():
    cluster = FakeCluster()
    state = cluster.add_run("runs")
    note = "images: 32 x 32 (median) brought to 224 x 224 \u00b7 set task.image_size"
    records = [DATA.model_copy(update={"notes": (note,)})]
    told = rows(describe_lines(state, cluster.recipes["runs", "small"], records))
    assert f"note      {note}" in told


def test_long_names_of_runs_stay_whole_in_a_narrow_terminal(capsys):
    cluster = FakeCluster()
    name = "a-run-with-quite-a-long-name-of-fifty-eight-characters"
    states = [cluster.add_run("runs", name, owner="ann"), cluster.add_run("runs", owner="joe")]
    found = [list_row(state, 1, START) for state in states]
    header, body = with_owners(LIST_HEADER, found, [state.owner for state in states])
    Terminal(width=80).table(header, body, drop=LIST_DROP)
    out, err = capsys.readouterr()
    assert name in out.splitlines()[1] and len(out.splitlines()) == 3
    assert "OWNER" in err
