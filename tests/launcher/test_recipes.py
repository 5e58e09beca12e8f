"""check, prepare, schema."""

import json

from launcher.cli import run
from tests.launcher.fake_cluster import write_recipe
from tests.launcher.made_up_run import DATA, ended


def test_check_shows_recipe_files_name_and_cluster(cluster, tmp_path, capsys):
    assert run(["check", str(write_recipe(tmp_path))], cluster.client()) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "train: 1 file" in rows["files"]
    assert "validation: 10 % of the training rows" in rows["files"]
    assert "the name is free" in rows["storage"]
    assert "cluster" not in rows and cluster.asked == [] and cluster.submitted == []


def test_check_asks_the_cluster_when_told_to(cluster, tmp_path, capsys):
    assert run(["check", str(write_recipe(tmp_path)), "--cluster"], cluster.client()) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "2 nodes, 2 CPUs \u00b7 1 worker can be placed \u00b7 1 job on it now" in rows["cluster"]
    assert cluster.submitted == []


def test_check_as_json(cluster, tmp_path, capsys):
    path = str(write_recipe(tmp_path))
    assert run(["check", path, "--cluster", "-o", "json"], cluster.client()) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["v"], value["recipe"]["name"]) == (1, "small")
    assert "cluster" in value["findings"]


def test_check_resolved_prints_a_recipe_that_checks(cluster, tmp_path, capsys):
    path = write_recipe(tmp_path)
    assert run(["check", str(path), "--resolved", "--set", "seed=7"], cluster.client()) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    client = cluster.client()
    assert client.load(again) == client.load(path, ["seed=7"])


def test_prepare_submits_the_preparation_only(cluster, tmp_path, capsys):
    cluster.story = (DATA, ended(metrics={}, rows=0, message="Prepared 9,963 rows"))
    assert run(["prepare", str(write_recipe(tmp_path))], cluster.client()) == 0
    assert [verb for _, verb, _, _ in cluster.submitted] == ["prepare"]
    out = capsys.readouterr().out
    assert "38 duplicates dropped" in out and "Prepared 9,963 rows" in out
    assert "small" not in cluster.located


def test_schema_is_json(capsys):
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Recipe"
