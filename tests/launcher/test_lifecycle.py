"""submit, watch, stop, resume."""

import json

from launcher.cli import run
from tests.launcher.fake_cluster import ADDRESS, FakeCluster, write_recipe
from tests.launcher.made_up_run import STORY, ended


def test_submit_follows_and_gives_the_exit_code_of_the_run(cluster, tmp_path, capsys):
    path = write_recipe(tmp_path)
    assert run(["submit", str(path), "--set", "epochs=2"], cluster.client()) == 0
    ((address, verb, recipe, arguments),) = cluster.submitted
    assert (address, verb, recipe.epochs, arguments) == (ADDRESS, "finetune", 2, {})
    out, err = capsys.readouterr()
    assert err == ""
    assert "watch it: thaw watch small" in out and "each row once" in out
    assert cluster.located["small"].storage == str(tmp_path / "runs")

    cluster.story = (ended("failed", 3, message="Column x is missing"),)
    assert run(["submit", str(path)], cluster.client()) == 3


def test_submit_detached_names_the_job_and_returns(cluster, tmp_path, capsys):
    path = write_recipe(tmp_path)
    words = ["submit", str(path), "--detach", "-o", "json"]
    assert run(words, cluster.client()) == 0
    assert json.loads(capsys.readouterr().out) == {
        "v": 1,
        "run": "small",
        "job_id": "small.01",
        "storage": str(tmp_path / "runs"),
    }


def test_submit_as_json_gives_records_only(cluster, tmp_path, capsys):
    assert run(["submit", str(write_recipe(tmp_path)), "-o", "json"], cluster.client()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [record.kind for record in STORY]


def test_ctrl_c_detaches_and_says_how_to_come_back(tmp_path, capsys):
    cluster = FakeCluster(STORY[:4])
    cluster.interrupts = True
    assert run(["submit", str(write_recipe(tmp_path))], cluster.client()) == 130
    err = capsys.readouterr().err
    assert err.startswith("detached  small goes on")
    assert "thaw watch small" in err and "thaw stop small" in err
    assert cluster.stopped == []


def test_a_taken_name_is_refused_before_anything_is_submitted(cluster, tmp_path, capsys):
    path = write_recipe(tmp_path)
    cluster.add_run(str(tmp_path / "runs"))
    assert run(["submit", str(path)], cluster.client()) == 9
    assert "The name small is taken" in capsys.readouterr().err
    assert cluster.submitted == []


def test_watch_tells_an_ended_run_from_its_directory(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"))
    assert run(["watch", "small"], cluster.client()) == 0
    assert "each row once" in capsys.readouterr().out


def test_watch_tells_a_live_run_each_record_once(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="running")
    cluster.records["small"] = list(STORY[:4])
    assert run(["watch", "small"], cluster.client()) == 0
    out = capsys.readouterr().out
    assert out.count("step 120/1,120") == 1 and out.count("each row once") == 1


def test_watch_waits_for_the_job_that_has_just_resumed_a_run(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="stopped")
    cluster.records["small"] = [*STORY[:4], ended("stopped", 143)]
    assert run(["resume", "small", "--detach"], cluster.client()) == 0
    cluster.story = STORY[-2:]
    assert run(["watch", "small"], cluster.client()) == 0
    assert "done      macro F1" in capsys.readouterr().out


def test_stop_asks_the_run_and_waits_for_its_end(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="running")
    cluster.records["small"] = list(STORY[:4])
    cluster.story = (*STORY[:4], ended("stopped", 143, step=70))
    assert run(["stop", "small"], cluster.client()) == 0
    out, err = capsys.readouterr()
    assert cluster.stopped == ["run small"]
    assert "stopping  small saves and ends" in err
    assert "at step 70" in out and "thaw resume small" in out


def test_stop_now_ends_the_job(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"), state="running")
    assert run(["stop", "small", "--now"], cluster.client()) == 0
    assert cluster.stopped == ["job small.01"]


def test_stopping_what_has_ended_says_so(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="failed")
    assert run(["stop", "small"], cluster.client()) == 0
    assert "small has failed already" in capsys.readouterr().err
    assert cluster.stopped == []


def test_resume_goes_on_with_the_same_recipe_on_other_machines(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="stopped")
    cluster.records["small"] = list(STORY[:-2])
    cluster.story = STORY[-2:]
    words = ["resume", "small", "--set", "cluster.num_workers=4"]
    assert run(words, cluster.client()) == 0
    ((_, verb, recipe, arguments),) = cluster.submitted
    assert (verb, recipe.cluster.num_workers, arguments) == ("finetune", 4, {"resume": "yes"})
    assert "2 epochs x 8,969 rows" in capsys.readouterr().out


def test_resume_refuses_what_would_change_the_answer(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="stopped")
    words = ["resume", "small", "--set", "optimizer.learning_rate=1", "--set", "epochs=9"]
    assert run(words, cluster.client()) == 2
    said = capsys.readouterr().err
    assert "optimizer.learning_rate, epochs cannot change" in said
    assert "--allow-change" in said
    assert cluster.submitted == []
    assert run([*words, "--allow-change"], cluster.client()) == 0
    ((_, _, recipe, arguments),) = cluster.submitted
    assert (recipe.epochs, arguments) == (9, {"resume": "yes", "allow_change": "yes"})


def test_a_run_that_succeeded_is_not_resumed(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"))
    assert run(["resume", "small"], cluster.client()) == 0
    assert "small has succeeded already" in capsys.readouterr().err
    assert run(["resume", "small", "--set", "epochs=9"], cluster.client()) == 2
    assert "epochs cannot change" in capsys.readouterr().err
    assert run(["resume", "small", "--set", "zero.stage=1"], cluster.client()) == 0
    assert "nothing was changed" in capsys.readouterr().err
    assert cluster.submitted == []
    assert cluster.submitted == []


def test_a_run_that_is_seen_to_go_on_is_refused_without_a_job(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"), state="running")
    assert run(["resume", "small"], cluster.client()) == 9
    assert "job small.01 works on it" in capsys.readouterr().err
    assert (cluster.submitted, cluster.located["small"].job_id) == ([], "small.01")
    cluster.silent = 60.0  # its driver may be dead: the new one looks
    assert run(["resume", "small", "--detach"], cluster.client()) == 0
    assert len(cluster.submitted) == 1
