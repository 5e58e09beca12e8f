"""list, status, describe, logs, metrics."""

import json

import pytest

from configs.records import Evaluated
from launcher.cli import run
from tests.launcher.fake_cluster import ADDRESS
from tests.launcher.made_up_run import STORY


@pytest.fixture
def storage(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"))
    return str(tmp_path / "runs")


def as_json(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_finds_runs_of_all_places(cluster, storage, capsys):
    cluster.add_run("s3://bucket/runs", "far", state="failed")
    assert run(["list"], cluster.client()) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "STATE", "STEP", "ATTEMPTS", "RESULT", "STARTED"]
    assert [row.split()[:2] for row in rows] == [["small", "succeeded"], ["far", "failed"]]
    assert run(["list", "--storage", "s3://bucket/runs", "-o", "json"], cluster.client()) == 0
    (one,) = as_json(capsys)
    assert (one["v"], one["name"], one["step"]) == (1, "far", 1_120)


def test_an_empty_list_says_how_to_begin(cluster, capsys):
    assert run(["list"], cluster.client()) == 0
    out, err = capsys.readouterr()
    assert out == "" and "thaw demo" in err


def test_status_of_an_ended_run(cluster, storage, capsys):
    assert run(["status", "small"], cluster.client()) == 0
    out = capsys.readouterr().out
    assert out.startswith("succeeded small")
    assert "macro F1 0.7125" in out and "runs/small/export" in out
    assert run(["status", "small", "-o", "json"], cluster.client()) == 0
    (state,) = as_json(capsys)
    assert (state["v"], state["state"], state["metrics"]["accuracy"]) == (1, "succeeded", 0.75)


def test_an_unknown_run_is_not_found(cluster, capsys):
    for command in ("status", "describe", "metrics", "watch", "stop", "resume", "evaluate"):
        assert run([command, "absent"], cluster.client()) == 8, command
        assert "There is no run absent" in capsys.readouterr().err


def test_describe_shows_everything(cluster, storage, capsys):
    assert run(["describe", "small"], cluster.client()) == 0
    out = capsys.readouterr().out
    for part in (
        "org/model",
        "10,003 rows in",
        "rank 1 on two",
        "A worker is slow",
        "the loss is nan",
        "1 commit",
    ):
        assert part in out
    assert run(["describe", "small", "-o", "json"], cluster.client()) == 0
    (one,) = as_json(capsys)
    assert one["v"] == 1 and one["recipe"]["name"] == "small"
    assert all(record["kind"] != "step" for record in one["records"])


def test_logs_of_the_job(cluster, storage, capsys):
    assert run(["logs", "small"], cluster.client()) == 0
    assert capsys.readouterr().out == "log of small.01\nsecond line\n"
    cluster.story = ("a line", *STORY)
    assert run(["logs", "small", "-f"], cluster.client()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a line" and lines[-1].startswith("export    runs/small/export")


def test_logs_of_a_job_that_only_reads_the_run(cluster, storage, capsys):
    assert run(["logs", "small", "--job", "small.evaluate-2"], cluster.client()) == 0
    assert capsys.readouterr().out == "log of small.evaluate-2\nsecond line\n"
    wanted = ["logs", "nobody", "--job", "nobody.doctor-1", "--address", ADDRESS]
    assert run(wanted, cluster.client()) == 0
    assert capsys.readouterr().out.startswith("log of nobody.doctor-1")
    assert run(["logs", "small", "--job", "small.evaluate-2", "--rank", "1"]) == 2
    assert "leave --rank and --attempt out" in capsys.readouterr().err


def test_logs_of_a_worker(cluster, storage, tmp_path, capsys):
    for attempt in (1, 2):
        for rank in (0, 1):
            path = tmp_path / f"a{attempt:02d}-{rank}.log"
            path.write_text(f"attempt {attempt} rank {rank}\n")
            cluster.logs[f"a{attempt:02d}/rank-{rank}"] = str(path)
    assert run(["logs", "small", "--rank", "1", "-f"], cluster.client()) == 0
    assert capsys.readouterr().out == "attempt 2 rank 1\n"
    assert run(["logs", "small", "--rank", "1", "--attempt", "1"], cluster.client()) == 0
    assert capsys.readouterr().out == "attempt 1 rank 1\n"
    assert run(["logs", "small", "--rank", "7"], cluster.client()) == 8


def test_metrics_as_tables_and_as_json(cluster, storage, capsys):
    assert run(["metrics", "small"], cluster.client()) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["STEP", "EPOCH", "SPLIT", "ROWS"]
    assert row.split() == [
        "140",
        "1.00",
        "validation",
        "(best)",
        "994",
        "0.7125",
        "0.7500",
        "0.5000",
    ]
    (first,) = [record for record in STORY if isinstance(record, Evaluated)]
    cluster.records["small"].append(first.model_copy(update={"step": 280, "epoch": 2.0}))
    for words in ([], ["--all"]):
        assert run(["metrics", "small", *words], cluster.client()) == 0
        rows = [row.split()[0] for row in capsys.readouterr().out.splitlines() if "best" in row]
        assert set(rows) == {"280"}
    cluster.records["small"].pop()
    assert run(["metrics", "small", "--steps"], cluster.client()) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == [
        "120",
        "0.86",
        "1.8431",
        "2.0e-04",
    ]
    assert run(["metrics", "small", "-o", "json"], cluster.client()) == 0
    assert [one["kind"] for one in as_json(capsys)] == [record.kind for record in STORY]


def test_json_says_of_a_live_run_what_the_text_says(cluster, storage, capsys):
    live = {"state": "running", "step": 0, "metrics": {}}
    state = cluster.add_run(storage, "live", **live)
    cluster.records["live"] = [record for record in STORY if record.kind != "ended"]
    for command in (["status", "live"], ["list", "--storage", storage]):
        assert run([*command, "-o", "json"], cluster.client()) == 0
        told = as_json(capsys)[-1]
        assert (told["name"], told["step"], told["total_steps"]) == ("live", 120, 1_120)
        assert (told["rows_per_s"], told["remaining_s"]) == (120.4, 500.0)  # 1,000 steps of 0.5 s
    assert told["state"] == state.state == "running"


def test_a_silent_driver_is_told(cluster, storage, capsys):
    cluster.add_run(storage, "live", state="running")
    cluster.silent = 3600
    assert run(["status", "live"], cluster.client()) == 0
    out = capsys.readouterr().out
    assert "no sign of life for 1 h" in out and "thaw why live" in out


def test_metrics_without_evaluations_name_the_steps(cluster, storage, capsys):
    cluster.records["small"] = []
    assert run(["metrics", "small"], cluster.client()) == 0
    err = capsys.readouterr().err
    assert "no evaluations yet" in err and "thaw metrics small --steps" in err
    assert run(["metrics", "small", "--steps"], cluster.client()) == 0
    assert "no steps yet" in capsys.readouterr().err


def test_damage_is_told_and_lists_go_on(cluster, storage, capsys):
    cluster.add_run(storage, "hurt", rebuilt="run.json is gone: others tell")
    cluster.damage = ["recipe.yaml is gone"]
    assert run(["list", "--storage", storage], cluster.client()) == 0
    assert "run.json is gone: others tell" in capsys.readouterr().err
    for verb in ("status", "describe", "metrics"):
        assert run([verb, "hurt"], cluster.client()) == 0
        assert "recipe.yaml is gone" in capsys.readouterr().err


def test_a_job_that_was_refused_hides_no_log(cluster, storage, capsys):
    at = cluster.located["small"]
    cluster.located["small"] = at.model_copy(update={"job_id": "small.02"})
    cluster.job_state = "failed"
    assert run(["logs", "small"], cluster.client()) == 0
    assert capsys.readouterr().out == "log of small.01\nsecond line\n"
