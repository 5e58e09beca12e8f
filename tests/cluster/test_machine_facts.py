"""This machine, as it is."""

import os
import time
from pathlib import Path

import psutil
import pytest

from cluster.local import LocalCluster
from cluster.machine_facts import count_gpus, find_clusters, find_stale_locks, look


def test_this_machine_is_seen(tmp_path: Path) -> None:
    facts = look("one", str(tmp_path / "not" / "there"))
    assert facts.memory_bytes == psutil.virtual_memory().total
    assert 0 < facts.free_memory_bytes <= facts.memory_bytes
    assert [disk.path for disk in facts.disks][1:] == [str(tmp_path / "not" / "there")]
    assert all(0 <= disk.free_bytes <= disk.total_bytes for disk in facts.disks)
    assert {"python", "ray", "torch", "pyarrow"} <= set(facts.versions)
    assert len(look("one", "s3://bucket/runs").disks) == 1
    assert abs(facts.time - time.time()) < 60


def test_lock_of_a_killed_compile_is_found(tmp_path: Path) -> None:
    assert find_stale_locks(tmp_path / "absent") == []
    for name, age_s in (("old", 3600), ("new", 0)):
        lock = tmp_path / "py311_cpu" / name / "lock"
        lock.parent.mkdir(parents=True)
        lock.touch()
        os.utime(lock, (time.time() - age_s,) * 2)
    assert find_stale_locks(tmp_path) in ([tmp_path / "py311_cpu" / "old" / "lock"], [])
    compiling = {"c++", "g++", "cc1plus", "ninja", "nvcc", "clang++"}
    names = {process.info["name"] for process in psutil.process_iter(["name"])}
    if not names & compiling:
        assert len(find_stale_locks(tmp_path)) == 1


def test_gpus_are_counted_as_nvidia_smi_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() is None
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: B'\necho more\n")
    program.chmod(0o755)
    assert count_gpus() == 2


@pytest.mark.slow
def test_cluster_on_this_machine_is_found_by_its_processes(two_nodes: LocalCluster) -> None:
    port = int(two_nodes.address.rsplit(":", 1)[1])
    [own] = [one for one in find_clusters() if one.dashboard_port == port]
    assert own.dashboard_host == "127.0.0.1"
    assert set(own.agent_ports) == {node.agent_port for node in two_nodes.processes}
    assert own.session.startswith("session_")
