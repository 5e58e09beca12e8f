"""delete, and what several people may do with each other's runs."""

import io
import json
from pathlib import Path

import pytest

from cluster import runs
from launcher.cli import run
from tests.cluster.test_deletion import files_below, make_run
from tests.trainers.test_belongings import write


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("THAW_USER", "ada")
    return str(tmp_path / "runs")


def test_delete_shows_asks_and_deletes(storage, capsys, monkeypatch):
    folder = make_run(storage)
    before = files_below(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["delete", "one"]) == 2
    assert "Nobody answers, so nothing is deleted. Say --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["delete", "one"]) == 0
    out = "".join(capsys.readouterr())
    for part in (str(folder), "commits", "export", "no other run here", "kept"):
        assert part in out
    assert files_below(folder) == before
    write(folder, ["notes.txt"])
    assert run(["delete", "one", "--yes"]) == 0
    out = "".join(capsys.readouterr())
    assert "not ours: notes.txt" in out
    assert "stays, with what is not ours" in out
    assert files_below(folder) == {"notes.txt"}
    assert run(["delete", "one", "--yes"]) == 8


def test_delete_as_json_deletes_only_with_yes(storage, capsys):
    folder = make_run(storage)
    assert run(["delete", "one", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] is False
    assert folder.exists()
    assert run(["delete", "one", "-o", "json", "--yes"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] is True
    assert not folder.exists()


@pytest.mark.parametrize("words", [["delete", "--yes"], ["stop"], ["resume"]])
def test_a_run_of_somebody_else_needs_force(storage, cluster, capsys, monkeypatch, words):
    folder = make_run(storage)
    monkeypatch.setenv("THAW_USER", "bob")
    cluster.add_run(storage, "one", "stopped", owner="ada")
    client = cluster.client() if words[0] != "delete" else None
    assert run([words[0], "one", *words[1:]], client) == 9
    assert "Run one is ada's, and you are bob" in capsys.readouterr().err
    assert folder.exists()
    assert not cluster.submitted
    assert run([words[0], "one", *words[1:], "--force"], client) == 0


def test_list_and_describe_say_whose_a_run_is(storage, cluster, capsys, monkeypatch):
    for name, owner in (("one", "ada"), ("two", "bob"), ("old", "")):
        cluster.add_run(storage, name, owner=owner)
    words = ["list", "--storage", storage]
    assert run(words, cluster.client()) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("OWNER", "ada", "bob", "old"))
    assert run([*words, "--mine"], cluster.client()) == 0
    out = capsys.readouterr().out
    assert "one" in out
    assert "OWNER" not in out
    assert "two" not in out
    for name, said in (("one", "ada"), ("old", "nobody")):
        assert run(["describe", name], cluster.client()) == 0
        assert said in capsys.readouterr().out


def test_the_owner_is_who_submits_not_who_drives(tmp_path, monkeypatch):
    from cluster.driver import JobOrder
    from tests.cluster.test_runs import recipe

    order = JobOrder(verb="finetune", recipe=recipe(), arguments={}, owner="ada")
    monkeypatch.setenv("THAW_USER", "root")
    runs.create_run(str(tmp_path), recipe(), "one.01", owner=order.owner)
    assert runs.read_run(str(tmp_path), "one").owner == "ada"
    assert Path(tmp_path, "one", "run.json").exists()
