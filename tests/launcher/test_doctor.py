"""The command `doctor` against a cluster in memory."""

import json

import pytest

from cluster.examination import MARK, Examined
from cluster.machine_facts import look
from launcher.cli import run
from tests.launcher.fake_cluster import ADDRESS, FakeCluster, write_recipe
from tests.launcher.made_up_run import ended


def examined(**changes):
    values = {
        "session": "session_1",
        "nodes": (look("one"), look("two")),
        "offsets": {"one": 0.0, "two": 0.1},
        "storage_problems": (),
    }
    return Examined.model_validate(values | changes)


def cluster_that_finds(found):
    return FakeCluster((f"{MARK}{found.model_dump_json()}", ended()))


def findings(cluster, capsys, *words):
    code = run(["doctor", "-o", "json", *words], cluster.client())
    return code, json.loads(capsys.readouterr().out)["findings"]


def test_every_finding_is_a_line_with_what_to_do(capsys):
    cluster = cluster_that_finds(examined(storage_problems=("two cannot write: disk is full",)))
    assert run(["doctor"], cluster.client()) == 4
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "bad"}
    [storage] = [line for line in lines if "storage" in line.split()]
    dot = " \u00b7 "
    assert storage.startswith(f"bad       storage{dot}two cannot write: disk is full{dot}name a")
    assert any(line.startswith(f"ok        cluster \u00b7 {ADDRESS}, 2 nodes") for line in lines)


def test_the_job_gets_the_recipe_and_its_storage(tmp_path, capsys):
    cluster = cluster_that_finds(examined(secret_problems="cluster.secrets: X is not set"))
    path = write_recipe(tmp_path)
    code, found = findings(cluster, capsys, str(path), "--set", "cluster.secrets=[X]")
    [(_, verb, recipe, _)] = cluster.submitted
    assert (verb, recipe.name, recipe.cluster.secrets) == ("doctor", "small", ("X",))
    assert code == 4
    assert [one["said"] for one in found if one["about"] == "secrets"] == [
        "cluster.secrets: X is not set"
    ]


def test_no_cluster_is_no_sin(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    code = run(["doctor"], FakeCluster().client(address=None))
    out = capsys.readouterr().out
    assert "warn      cluster" in out and "thaw cluster up" in out
    assert code == (4 if "\nbad " in f"\n{out}" else 0)


@pytest.mark.parametrize("story", [(), (ended(),)])
def test_job_that_finds_nothing_is_bad(capsys, story):
    code, found = findings(FakeCluster(story), capsys)
    assert code == 4
    assert any("that looks at the nodes failed" in one["said"] for one in found)


def test_token_that_others_can_read_is_bad(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("secret-token-value")
    path.chmod(0o644)
    code, found = findings(cluster_that_finds(examined()), capsys)
    assert code == 4
    assert [one["do"] for one in found if one["level"] == "bad" and one["about"] == "token"] == [
        f"chmod 600 {path}"
    ]
    assert "secret-token-value" not in json.dumps(found)
