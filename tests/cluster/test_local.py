"""The cluster on this machine: what it leaves open and what it leaves behind."""

import os
import stat
import tempfile
from pathlib import Path

import psutil
import pytest
import requests

from cluster.auth import write_token
from cluster.local import (
    LocalCluster,
    _delete_temp_dir,
    _make_temp_dir,
    _reached_at,
    _wait_until,
    count_live_nodes,
    read_local_cluster,
    start_local_cluster,
    stop_local_cluster,
)
from cluster.located import Located, remember_run
from cluster.nodes import Ground
from configs.errors import ClusterError, LockedError
from tests.other_person import all_below, what_others_can_do


@pytest.mark.slow
def test_cluster_is_there_and_asks_for_its_token(two_nodes: LocalCluster) -> None:
    assert read_local_cluster() == two_nodes
    assert (two_nodes.num_nodes, count_live_nodes(two_nodes)) == (2, 2)
    assert two_nodes.address.startswith("http://127.0.0.1:")
    token = Path(two_nodes.token_path)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    jobs = f"{two_nodes.address}/api/jobs/"
    assert requests.get(jobs, timeout=10).status_code == 401
    headers = {"Authorization": f"Bearer {token.read_text()}"}
    assert requests.get(jobs, headers=headers, timeout=10).status_code == 200


def test_cluster_that_listens_everywhere_is_met_at_the_loopback() -> None:
    assert [_reached_at(host) for host in ("0.0.0.0", "127.0.0.1", "10.1.2.3")] == [
        "127.0.0.1",
        "127.0.0.1",
        "10.1.2.3",
    ]


@pytest.mark.slow
def test_other_people_of_the_machine_get_nothing_of_it(two_nodes: LocalCluster) -> None:
    folder = Path(two_nodes.temp_dir)
    # Ray opens its own folder to everybody; the one above keeps them out.
    assert stat.S_IMODE((folder / "r").stat().st_mode) == 0o777
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    found = all_below(folder)
    assert {"sockets", "logs", "runtime_resources"} <= {path.name for path in found}
    assert what_others_can_do(found) == []


def test_state_of_a_person_is_closed_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        home = Path(parent, "home")
        monkeypatch.setenv("THAW_HOME", str(home))
        before = os.umask(0)
        try:
            remember_run("one", Located(storage="/s", address="http://h:1", job_id="one.01"))
            write_token(home / "cluster_token", "a-token")
            with pytest.raises(ClusterError):
                start_local_cluster(1, -1)
        finally:
            os.umask(before)
        assert (home / "nodes" / "node-0.log").is_file() and (home / "runs" / "one.json").is_file()
        assert what_others_can_do(all_below(home)) == []


@pytest.mark.slow
def test_one_home_has_one_cluster(two_nodes: LocalCluster) -> None:
    with pytest.raises(LockedError, match="thaw cluster down"):
        start_local_cluster(1)


@pytest.mark.slow
def test_cluster_that_does_not_start_leaves_nothing_but_its_log(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="Node 0 of the local cluster ended while starting") as e:
        start_local_cluster(1, -1, home=tmp_path)
    log = tmp_path / "nodes" / "node-0.log"
    assert str(log) in str(e.value)
    assert "-1" in log.read_text()
    assert not (tmp_path / "cluster.json").exists()
    assert not [child for child in psutil.Process().children() if "ray" in child.name()]


def test_cluster_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    ground = Ground(
        temp_dir=tmp_path,
        log_dir=tmp_path / "nodes",
        token_path=tmp_path / "token",
        gcs_port=1,
        dashboard_port=2,
        client_port=3,
        cpus_per_node=1,
    )
    with pytest.raises(ClusterError, match=r"not ready after 0 s\. See whether .*/nodes says"):
        _wait_until(lambda: False, [], ground, limit_s=0)


def test_stopping_nothing_is_fine(tmp_path: Path) -> None:
    assert not stop_local_cluster(tmp_path)
    assert read_local_cluster(tmp_path) is None


def test_state_of_a_cluster_that_is_gone_is_no_cluster(tmp_path: Path) -> None:
    gone = LocalCluster.model_validate(
        {
            "address": "http://127.0.0.1:1",
            "gcs_address": "127.0.0.2:1",
            # This process, but not at that time: the pid was given out again.
            "processes": [{"pid": psutil.Process().pid, "started": 1.0, "agent_port": 1}],
            "temp_dir": str(tmp_path / "gone"),
            "token_path": str(tmp_path / "token"),
            "num_nodes": 1,
            "cpus_per_node": 1,
        }
    )
    (tmp_path / "cluster.json").write_text(gone.model_dump_json())
    assert read_local_cluster(tmp_path) is None
    assert not stop_local_cluster(tmp_path)
    assert not (tmp_path / "cluster.json").exists()


def test_what_a_changed_state_names_stays(tmp_path: Path) -> None:
    home, notes, ours = tmp_path / "home", tmp_path / "notes", _make_temp_dir()
    home.mkdir()
    notes.mkdir()
    (notes / "keep.txt").write_text("theirs")
    (tmp_path / "link").symlink_to(ours)
    for folder, token in (
        (notes, notes / "keep.txt"),
        (tmp_path / "link", home / "cluster_token"),
        (notes, home / "cluster_token"),
    ):
        state = {
            "address": "http://127.0.0.1:1",
            "gcs_address": "127.0.0.2:1",
            "processes": [{"pid": psutil.Process().pid, "started": 1.0, "agent_port": 1}],
            "temp_dir": str(folder),
            "token_path": str(token),
            "num_nodes": 1,
            "cpus_per_node": 1,
        }
        (home / "cluster.json").write_text(LocalCluster.model_validate(state).model_dump_json())
        with pytest.raises(ClusterError, match="was not made by `thaw cluster up`, so it stays"):
            stop_local_cluster(home)
        assert (notes / "keep.txt").read_text() == "theirs"
        assert ours.is_dir()
    assert _delete_temp_dir(ours)
    assert not ours.exists()
