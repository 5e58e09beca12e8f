"""evaluate, predict, export."""

import os
import signal
from pathlib import Path

import pytest

from configs.records import Note
from launcher.cli import run
from tests.launcher.fake_cluster import FakeCluster
from tests.launcher.made_up_run import DATA, EVALUATED, EXPORTED, START, ended
from tests.trainers.test_export_folder import NEW, content, make, write


@pytest.mark.parametrize(
    ("words", "verb", "arguments"),
    [
        (["evaluate", "small"], "evaluate", {}),
        (["evaluate", "small", "--data", "s3://b/x.csv"], "evaluate", {"data": "s3://b/x.csv"}),
        (
            ["predict", "small", "s3://b/in.csv", "-o", "s3://b/out.csv"],
            "predict",
            {"input": "s3://b/in.csv", "output": "s3://b/out.csv"},
        ),
        (["export", "small", "s3://b/folder"], "export", {"folder": "s3://b/folder"}),
    ],
)
def test_each_command_submits_its_verb_and_follows(cluster, tmp_path, words, verb, arguments):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.story = (EVALUATED, EXPORTED, ended())
    assert run(words, cluster.client()) == 0
    ((_, submitted, recipe, given),) = cluster.submitted
    assert (submitted, recipe.name, given) == (verb, "small", arguments)


def test_a_failed_job_gives_its_exit_code(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.story = (ended("failed", 6, message="No commit can be loaded"),)
    assert run(["evaluate", "small"], cluster.client()) == 6
    assert "No commit can be loaded" in capsys.readouterr().out


WAITING = Note(time=START, level="info", text="waiting for others", event="waiting")
PLACED = WAITING.model_copy(update={"text": "evaluate runs on 1 worker", "event": "placed"})


@pytest.mark.parametrize("verb", ["evaluate small", "predict small s3://b/in.csv -o s3://b/o.csv"])
@pytest.mark.parametrize(
    ("story", "taken"),
    [((), True), ((WAITING,), True), ((DATA, WAITING), True), ((WAITING, PLACED), False),
     ((PLACED, EVALUATED), False), ((DATA,), False)],
)  # fmt: skip
def test_interrupted_client_leaves_no_job_that_only_waits(
    cluster, tmp_path, capsys, verb, story, taken
):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.story, cluster.interrupts = story, True
    assert run(verb.split(), cluster.client()) == 130
    assert cluster.stopped == (["job small.02"] if taken else [])
    assert ("nothing waits any more" if taken else "small goes on") in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_that_ends_the_client_takes_a_waiting_job_back(cluster, tmp_path, number):
    class Ended(FakeCluster):
        def follow(self, address, job_id):
            yield WAITING
            os.kill(os.getpid(), number)
            yield "a line"

    ended = Ended()
    ended.add_run(str(tmp_path / "runs"))
    before = signal.getsignal(number)
    assert run(["evaluate", "small"], ended.client()) == 130
    assert ended.stopped == ["job small.02"]
    assert signal.getsignal(number) == before


def test_predict_needs_an_output(capsys):
    assert run(["predict", "small", "in.csv"]) == 2
    assert "Missing option '-o'" in capsys.readouterr().err


REFUSED = {
    "file": "is no folder",
    "theirs": "is not empty: it holds notes",
    "link": "is a link",
    ".": "is not empty",
    "runs/small/export": "lies in the folder of the run",
    "runs/small/new": "lies in the folder of the run",
}


@pytest.mark.parametrize("words", [[], ["--overwrite"], ["--detach"]])
@pytest.mark.parametrize("place", REFUSED)
def test_export_refuses_at_once_what_is_not_ours(cluster, tmp_path, capsys, place, words):
    cluster.add_run(str(tmp_path / "runs"))
    make(tmp_path / "runs" / "small" / "export", NEW)
    write(tmp_path, {"file": "theirs", "theirs/notes": "theirs"})
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    before = content(tmp_path)
    code = run(["export", "small", place, *words], cluster.client())
    said = capsys.readouterr().err
    assert code == (2 if "lies in" in REFUSED[place] else 9)
    assert REFUSED[place] in said or "holds no thaw.json" in said
    assert content(tmp_path) == before
    assert not cluster.submitted


def test_export_copies_what_the_run_has_without_a_cluster(cluster, tmp_path, capsys):
    cluster.add_run(str(tmp_path / "runs"))
    make(tmp_path / "runs" / "small" / "export", NEW, step=140)
    assert run(["export", "small", "new/place"], cluster.client()) == 0
    assert "step 140" in capsys.readouterr().out
    assert content(tmp_path / "new" / "place") == NEW
    assert not cluster.submitted
    write(tmp_path / "new" / "place", {"notes": "theirs"})
    assert run(["export", "small", "new/place"], cluster.client()) == 9
    assert run(["export", "small", "new/place", "--overwrite", "-o", "json"], cluster.client()) == 0
    assert content(tmp_path / "new" / "place") == NEW | {"notes": "theirs"}


def test_export_leaves_to_the_cluster_what_is_not_whole(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.add_run(str(tmp_path / "runs"), "going", "stopped")
    for name in ("small", "going"):
        make(tmp_path / "runs" / name / "export", NEW)
    write(tmp_path / "runs" / "small" / "export", {"model": "bad"})
    for name in ("small", "going"):
        run(["export", name, "place"], cluster.client())
        assert not Path("place").exists()
    assert [verb for _, verb, _, _ in cluster.submitted] == ["export", "export"]


@pytest.mark.parametrize("output", ["rows.csv", "theirs.jsonl", "folder"])
def test_predict_refuses_at_once_what_is_there(cluster, tmp_path, capsys, output):
    cluster.add_run(str(tmp_path / "runs"))
    write(tmp_path, {"rows.csv": "text", "theirs.jsonl": "theirs", "folder/notes": "theirs"})
    before = content(tmp_path)
    assert run(["predict", "small", "rows.csv", "-o", output], cluster.client()) == 9
    said = capsys.readouterr().err
    assert any(word in said for word in ("is there already", "is a folder", "over the input"))
    assert not cluster.submitted
    code = run(["predict", "small", "*.csv", "-o", output, "--overwrite"], cluster.client())
    assert bool(cluster.submitted) == (output == "theirs.jsonl")
    assert code in (0, 9)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["small", "in.csv", "-o", "out.txt"], 2, "names no format"),
        (["small", "absent.csv", "-o", "out.csv"], 3, "does not exist"),
        (["small", "other.csv", "-o", "out.csv"], 3, "has no column text. Nearest: txt"),
        (["small", "in.txt", "-o", "out.csv"], 3, "Give --format"),
        (["going", "in.csv", "-o", "out.csv"], 6, "neither an export nor a commit yet"),
    ],
)
def test_predict_refuses_here_what_this_machine_can_see(
    cluster, tmp_path, capsys, words, code, said
):
    cluster.add_run(str(tmp_path / "runs"))
    cluster.add_run(str(tmp_path / "runs"), "going", "stopped")
    write(tmp_path, {"in.csv": "text\na", "other.csv": "txt\na", "in.txt": "text\na"})
    assert run(["predict", *words], cluster.client()) == code
    assert said in capsys.readouterr().err
    assert not cluster.submitted
    cluster.story = (ended(),)
    more = ["--format", "csv", "--bad", "skip"]
    assert run(["predict", "small", "in.txt", "-o", "out.csv", *more], cluster.client()) == 0
    ((_, _, _, given),) = cluster.submitted
    assert (given["format"], given["bad"]) == ("csv", "skip")


def test_a_run_without_an_export_is_asked_by_its_commit(cluster, tmp_path):
    cluster.add_run(str(tmp_path / "runs"), "going", "stopped")
    write(tmp_path, {"in.csv": "text\na"})
    write(tmp_path / "runs/going/checkpoints/step-00000002.a01", {"MANIFEST.json": "{}"})
    cluster.story = (ended(),)
    assert run(["predict", "going", "in.csv", "-o", "out.csv"], cluster.client()) == 0
    assert [verb for _, verb, _, _ in cluster.submitted] == ["predict"]
