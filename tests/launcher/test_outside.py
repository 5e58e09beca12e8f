"""What the cluster knows of a run, where it answers and where it does not."""

from dataclasses import replace

import pytest

from cluster import runs
from cluster.diagnosis import NodeEvent
from configs.errors import NotFoundError, StorageError
from launcher.client import Thaw
from launcher.outside import look_outside
from tests.launcher.fake_cluster import ADDRESS
from tests.past_runs import begun, commit, ended, step, write_run

NOWHERE = "http://10.9.9.9:8265"
DIED = "worker 1 on 10.0.0.5 died"


def client_of(cluster, address=ADDRESS):
    return Thaw(address, backend=replace(cluster.client().backend, runs=runs))


def test_job_and_dead_nodes_are_told(cluster, tmp_path):
    write_run(tmp_path / "runs", [begun(1)])
    cluster.deaths = [NodeEvent(time=1.0, host="one", text="died")]
    outside = look_outside(client_of(cluster), "past")
    assert (outside.reached, outside.job) == (True, "Its job running: ")
    assert outside.nodes == tuple(cluster.deaths)


def test_a_cluster_that_does_not_answer_is_a_sentence_on_the_page(cluster, tmp_path):
    write_run(tmp_path / "runs", [begun(1), ended("failed", DIED, "ClusterError")])
    found = client_of(cluster, NOWHERE).why("past")
    assert found.cause.name == "worker_killed"
    assert found.unseen[0] == f"No Ray dashboard answers at {NOWHERE}"


def test_without_the_storage_the_log_of_the_job_tells(cluster, tmp_path):
    far = str(tmp_path / "far")
    runs.remember_run("past", runs.Located(storage=far, address=ADDRESS, job_id="past.01"))
    records = [begun(1), step(9), commit(8), ended("failed", DIED, "ClusterError")]
    lines = "".join(f"{record.model_dump_json()}\n" for record in records)
    cluster.job_log = lambda address, job_id: f"a line of a library\n{lines}"
    found = client_of(cluster).why("past")
    assert (found.cause.name, found.committed_step, found.state) == ("worker_killed", 8, "failed")
    assert f"{far} is not visible from here" in found.unseen[0]


def test_with_nothing_to_see_it_says_so(cluster, tmp_path):
    with pytest.raises(NotFoundError, match="no run past"):
        client_of(cluster).why("past")
    far = str(tmp_path / "far")
    runs.remember_run("past", runs.Located(storage=far, address=NOWHERE, job_id="past.01"))

    def refused(address, job_id):
        raise NotFoundError("The cluster knows no job past.01")

    cluster.job_log = refused
    with pytest.raises(StorageError, match="cannot be seen from here, nor the log"):
        client_of(cluster).why("past")
