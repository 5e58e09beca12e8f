"""Where a run is."""

import pytest

from configs.errors import NotFoundError
from launcher.whereabouts import Whereabouts, absolute
from tests.launcher.fake_cluster import ADDRESS


def where(cluster, address=None, storage=None):
    return Whereabouts(cluster.client().backend, address, storage)


def test_what_is_told_comes_before_what_is_remembered(cluster, tmp_path):
    cluster.add_run("s3://bucket/runs")
    assert where(cluster).storage_of("small") == "s3://bucket/runs"
    assert where(cluster, storage="here").storage_of("small") == "here"
    assert where(cluster).storage_of("absent") == str(tmp_path / "runs")
    assert where(cluster).located("small").address == ADDRESS
    assert where(cluster, "http://told:1").located("small").address == "http://told:1"
    assert where(cluster, "http://told:1").address_of_run("small") == "http://told:1"


def test_somebody_elses_run_is_found_by_its_directory(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("THAW_ADDRESS", "http://environment:1")
    cluster.add_run(str(tmp_path / "runs"), job_ids=("small.01", "small.02"))
    cluster.located.clear()
    located = where(cluster).located("small")
    assert (located.address, located.job_id) == ("http://environment:1", "small.02")
    with pytest.raises(NotFoundError):
        where(cluster).located("absent")
    cluster.add_run(str(tmp_path / "runs"), job_ids=())
    cluster.located.clear()
    with pytest.raises(NotFoundError, match="no job yet"):
        where(cluster).located("small")


def test_an_ended_run_with_a_newer_job_is_live(cluster, tmp_path):
    state = cluster.add_run("runs", state="stopped")
    assert not where(cluster).is_live(state)
    newer = cluster.located["small"].model_copy(update={"job_id": "small.02"})
    cluster.located["small"] = newer
    assert where(cluster).is_live(state)
    # Nobody can say how the job stands: the state in the directory counts.
    assert not where(cluster, "http://nowhere:1").is_live(state)


def test_absolute_leaves_remote_addresses_alone(tmp_path):
    assert absolute("a/../b") == str(tmp_path / "b")
    assert absolute("s3://bucket/../x") == "s3://bucket/../x"
