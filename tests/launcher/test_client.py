"""The verbs for notebooks."""

from pathlib import Path

import pytest

from configs.errors import ClusterError, LockedError, NotFoundError, RecipeError
from configs.records import Record
from launcher.cli import run
from launcher.client import Thaw
from tests.launcher.fake_cluster import ADDRESS, write_recipe
from tests.launcher.made_up_run import STORY

VALUES = {
    "name": "small",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "train.csv"},
}


def test_submit_takes_a_file_values_or_a_recipe(cluster, tmp_path):
    client = cluster.client()
    path = write_recipe(tmp_path)
    recipe = client.load(path)
    for given in (path, str(path), recipe, {**VALUES, "storage": "elsewhere"}):
        submitted = client.submit(given)
        assert (submitted.run, submitted.address) == ("small", ADDRESS)
    assert submitted.storage == str(tmp_path / "elsewhere")
    with pytest.raises(RecipeError, match="epochs"):
        client.submit({**VALUES, "epochs": 0})


def test_the_storage_of_the_client_comes_before_the_recipes(cluster, tmp_path):
    submitted = cluster.client(storage="here").submit(VALUES)
    assert submitted.storage == str(tmp_path / "here")


def test_the_address_comes_from_client_recipe_or_environment(cluster, monkeypatch):
    client = cluster.client(address=None)
    with pytest.raises(ClusterError, match="thaw cluster up"):
        client.submit(VALUES)
    monkeypatch.setenv("THAW_ADDRESS", "http://from-environment:8265")
    assert client.submit(VALUES).address == "http://from-environment:8265"
    recipe = {**VALUES, "cluster": {"address": "http://from-recipe:8265"}}
    assert client.submit(recipe).address == "http://from-recipe:8265"
    assert cluster.client().submit(recipe).address == ADDRESS


def test_later_commands_go_to_the_cluster_and_storage_of_the_run(cluster, tmp_path):
    cluster.add_run("s3://bucket/runs")
    client = cluster.client(address=None)
    Path("rows.csv").write_text("text,label\na,b\n")
    client.evaluate("small", "rows.csv")
    Path("in.csv").write_text("text\na\n")
    client.predict("small", "in.csv", "s3://bucket/out.csv")
    client.export("small", "folder")
    assert [(address, verb, arguments) for address, verb, _, arguments in cluster.submitted] == [
        (ADDRESS, "evaluate", {"data": str(tmp_path / "rows.csv")}),
        (ADDRESS, "predict", {"input": str(tmp_path / "in.csv"), "output": "s3://bucket/out.csv"}),
        (ADDRESS, "export", {"folder": str(tmp_path / "folder")}),
    ]
    assert {recipe.storage for _, _, recipe, _ in cluster.submitted} == {"s3://bucket/runs"}


def test_other_jobs_do_not_become_the_job_of_the_run(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.client().evaluate("small")
    assert cluster.located["small"].job_id == "small.01"


def test_a_failed_run_leaves_its_name_to_the_driver_to_judge(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"), state="failed")
    assert cluster.client().submit(VALUES).run == "small"
    cluster.add_run(str(tmp_path / "runs"), state="running")
    with pytest.raises(LockedError, match="The name small is taken"):
        cluster.client().submit(VALUES)


def test_wait_gives_the_last_word(cluster):
    client = cluster.client()
    assert client.wait(client.submit(VALUES)) == STORY[-1]
    cluster.story = ("only text",)
    with pytest.raises(ClusterError, match="without saying how"):
        client.wait(client.submit(VALUES))


def test_a_run_whose_storage_cannot_be_seen_is_watched_through_its_job(cluster):
    client = cluster.client()
    client.submit(VALUES)
    assert [*client.watch("small")] == list(STORY)
    with pytest.raises(NotFoundError):
        [*client.watch("absent")]


def test_a_run_submitted_by_somebody_else_is_found_in_the_storage(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"), state="running")
    cluster.located.clear()
    records: list[Record | str] = [*cluster.client().watch("small")]
    assert records == [*STORY, *STORY]  # from the directory, then from the job's log


def test_steps_of_a_live_run_come_from_its_records(cluster, tmp_path):
    live = cluster.add_run(str(tmp_path / "runs"), state="running", step=0)
    assert cluster.client().step_of(live) == 120
    done = cluster.add_run(str(tmp_path / "runs"), "done")
    assert cluster.client().step_of(done) == 1_120


def test_the_local_cluster_goes_up_and_down(cluster):
    client = cluster.client()
    assert client.cluster() is None
    assert client.cluster_up(3).num_nodes == 3
    with pytest.raises(LockedError):
        client.cluster_up()
    assert (client.cluster_down(), client.cluster_down()) == (True, False)


def test_a_client_of_its_own_talks_to_the_real_modules():
    backend = Thaw().backend
    assert backend.jobs.__name__ == "cluster.jobs"
    assert backend.runs.__name__ == "cluster.runs"


def test_a_run_is_seen_as_soon_as_it_is_submitted(cluster, tmp_path, capsys):
    client = cluster.client()
    client.submit({**VALUES, "storage": str(tmp_path)})
    assert client.status("small").state == "queued"
    assert [state.name for state in client.list()] == ["small"]
    assert run(["list"], cluster.client()) == 0
    assert "small" in capsys.readouterr().out
    for command in ("status", "describe"):
        assert run([command, "small"], cluster.client()) == 0
        assert "small" in capsys.readouterr().out
    with pytest.raises(LockedError, match="Stop it first"):
        client.belongings("small")
    assert run(["stop", "small"], cluster.client()) == 0
    assert "had not begun" in capsys.readouterr().err
    assert cluster.stopped == ["job small.01"]
    cluster.job_state = "stopped"
    with pytest.raises(NotFoundError, match="no run small"):
        client.status("small")
    assert [*client.list()] == []


def test_a_run_that_never_appeared_is_not_queued_for_ever(cluster, tmp_path):
    client = cluster.client()
    client.submit({**VALUES, "storage": str(tmp_path)})
    noted = cluster.located["small"]
    cluster.located["small"] = noted.model_copy(update={"submitted": noted.submitted - 200})
    with pytest.raises(NotFoundError, match="no run small"):
        client.status("small")
