"""evaluate, predict, export."""

import pytest

from launcher.cli import run
from tests.launcher.made_up_run import EVALUATED, EXPORTED, ended


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


def test_predict_needs_an_output(capsys):
    assert run(["predict", "small", "in.csv"]) == 2
    assert "Missing option '-o'" in capsys.readouterr().err
