"""All nodes of a cluster, looked at by a job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import jobs
from cluster.examination import forget_marks, judge_marks, list_marks, read_examined, write_mark
from cluster.local import LocalCluster
from tests.recipes import tiny_recipe

THAW = (sys.executable, "-c", "from launcher.cli import main; main()")


def test_nodes_that_do_not_share_the_storage_are_told() -> None:
    wrote = {"one": "a", "two": "b"}
    both = ["a", "b"]
    assert judge_marks("/runs", wrote, {"one": both, "two": both}) == []
    [said] = judge_marks("/runs", wrote, {"one": both, "two": ["b"]})
    assert said == "two does not see in /runs what one wrote there"
    found = judge_marks("/runs", {"one": "a", "two": "no room"}, {"one": ["a"], "two": ["a"]})
    assert found == ["two cannot write: no room"]


def test_marks_leave_nothing(tmp_path: Path) -> None:
    storage = str(tmp_path / "runs")
    folder = f"{storage}/.doctor/here"
    name = write_mark(folder)
    assert list_marks(folder) == [name]
    forget_marks(storage, folder, keep=False)
    assert not Path(storage).exists() and list_marks(folder) == []
    Path(storage).mkdir()
    write_mark(folder)
    forget_marks(storage, folder, keep=True)
    assert [*Path(storage).iterdir()] == []


def test_mark_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert " could not be written: " in write_mark(str(tmp_path / "file" / "x"))


@pytest.mark.slow
def test_both_nodes_are_seen(two_nodes: LocalCluster, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, cluster={"secrets": ["CANARY_TOKEN", "NOT_SET"]})
    job_id = jobs.submit(two_nodes.address, "doctor", recipe, {})
    *lines, _ = jobs.follow(two_nodes.address, job_id)
    [found] = [read_examined(line) for line in lines if isinstance(line, str)]
    assert found is not None
    assert [facts.host for facts in found.nodes] == ["127.0.0.2", "127.0.0.3"]
    assert found.storage_problems == () and not Path(recipe.storage).exists()
    assert all(abs(offset) < 5 for offset in found.offsets.values())
    assert "NOT_SET is not set on 127.0.0.2 and 127.0.0.3" in found.secret_problems
    assert found.session in {one.session for facts in found.nodes for one in facts.clusters}


@pytest.mark.slow
def test_doctor_of_a_cluster_that_is_well(two_nodes: LocalCluster, tmp_path: Path) -> None:
    command = [*THAW, "doctor", "-o", "json"]
    home = tmp_path.parent  # without a token of Ray's own
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": os.getcwd()},
    )
    findings = json.loads(done.stdout)["findings"]
    about = {finding["about"]: finding for finding in findings}
    assert {"ray", "token", "cluster", "dashboard", "versions", "clocks", "storage"} <= set(about)
    assert about["token"]["said"] == f"from the file {two_nodes.token_path}"
    assert about["dashboard"]["level"] == about["storage"]["level"] == "ok"
    bad = [finding for finding in findings if finding["level"] == "bad"]
    assert done.returncode == (4 if bad else 0), done.stderr
    assert {finding["about"] for finding in bad} <= {"disk", "memory", "compiler"}
    assert [*tmp_path.iterdir()] == []
