"""What is good, what is bad, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from cluster import health
from cluster.auth import Token
from cluster.machine_facts import Disk, MachineFacts, OtherCluster

GIB = 2**30
TOKEN = Token("value", "RAY_AUTH_TOKEN", None)


def facts(host: str = "one", **changes: Any) -> MachineFacts:
    values: dict[str, Any] = {
        "host": host,
        "machine": host,
        "time": 0.0,
        "versions": {"python": "3.11", "ray": "2.60.0", "torch": "2.13.0"},
        "memory_bytes": 64 * GIB,
        "free_memory_bytes": 32 * GIB,
        "shared_memory_bytes": 8 * GIB,
        "disks": (Disk(path="/tmp", free_bytes=100 * GIB, total_bytes=200 * GIB),),
        "compiler": "/usr/bin/c++",
        "locks": (),
        "clusters": (),
        "gpus": None,
    }
    return MachineFacts.model_validate(values | changes)


def levels(findings: Any) -> list[str]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize(
    ("found", "level"), [("2.53.1", "bad"), ("2.9.0", "bad"), ("2.54.0", "ok"), ("3.0.0", "ok")]
)
def test_ray_with_holes_is_bad(found: str, level: str) -> None:
    assert health.judge_ray(found, "here").level == level


@pytest.mark.parametrize(
    ("address", "asks", "hosts", "level", "words"),
    [
        ("http://127.0.0.1:8265", True, ["127.0.0.1"], "ok", "its own machine alone"),
        ("http://localhost:8265", False, ["127.0.0.1"], "warn", "everybody on its machine"),
        ("http://127.0.0.1:8265", True, ["0.0.0.0"], "warn", "without encryption"),
        ("http://127.0.0.1:8265", False, ["0.0.0.0"], "bad", "open to the network at 0.0.0.0"),
        ("http://10.1.2.3:8265", False, [], "bad", "without a token"),
        ("http://head:8265", True, [], "warn", "at head"),
        ("https://head", True, ["127.0.0.1"], "ok", "TLS"),
        ("http://[::1]:8265", True, [], "ok", "its own machine alone"),
    ],
)
def test_dashboard_that_is_open(
    address: str, asks: bool, hosts: list[str], level: str, words: str
) -> None:
    found = health.judge_door(address, asks, hosts)
    assert found.level == level and words in found.said
    assert bool(found.do) == (level != "ok")


def test_files_that_others_can_read_are_bad(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for path, mode in ((mine, 0o600), (theirs, 0o644)):
        path.touch()
        path.chmod(mode)
    found = [*health.judge_token_files(TOKEN, [mine, theirs, tmp_path / "absent"])]
    assert levels(found) == ["ok", "bad"]
    assert found[0].said == "from RAY_AUTH_TOKEN" and "value" not in repr(found)
    assert found[1].do == f"chmod 600 {theirs}" and "0644" in found[1].said


def test_versions_that_differ() -> None:
    one, two = facts("one"), facts("two", versions={"python": "3.11", "ray": "2.59.0"})
    assert levels(health.judge_versions(one, [one, one])) == ["ok"]
    found = [*health.judge_versions(one, [one, two])]
    assert levels(found) == ["bad", "bad"]
    assert found[0].said == "ray differs: 2.59.0 on two, 2.60.0 on one"
    assert found[1].said == "torch differs: 2.13.0 on one, none on two"
    here, there = (facts(versions={"python": found}) for found in ("3.12", "3.11"))
    [found] = health.judge_versions(here, [there])
    assert (found.level, found.said) == ("warn", "python is 3.12 here and 3.11 on the nodes")


def test_clocks_that_differ() -> None:
    assert health.judge_clocks({"one": 0.4, "two": -4.9}).level == "ok"
    found = health.judge_clocks({"one": 61.2, "two": -9.0, "three": 1.0})
    assert found.level == "warn"
    assert found.said == "clocks differ from this machine's: one by +61 s, two by -9 s"


def test_machine_without_room() -> None:
    assert levels(health.judge_machine(facts())) == ["ok", "ok", "ok"]
    full = facts(
        disks=(Disk(path="/runs", free_bytes=GIB // 2, total_bytes=GIB),),
        free_memory_bytes=GIB,
        shared_memory_bytes=64 * 2**20,
    )
    disk, memory, shared = health.judge_machine(full)
    assert (disk.level, disk.do) == ("bad", "make room in /runs")
    assert (memory.level, shared.level) == ("warn", "warn")
    assert "--shm-size" in shared.do
    assert [*health.judge_machine(facts(shared_memory_bytes=None))][-1].level == "warn"


def test_compiler_and_the_lock_of_a_killed_compile() -> None:
    assert levels(health.judge_compiler(facts(), is_asked=True)) == ["ok"]
    none = facts(compiler=None)
    assert levels(health.judge_compiler(none, is_asked=True)) == ["bad"]
    assert levels(health.judge_compiler(none, is_asked=False)) == ["warn"]
    locked, _ = health.judge_compiler(facts(locks=("/x/lock",)), is_asked=False)
    assert (locked.level, locked.do) == ("bad", "rm /x/lock")


def test_ports_that_two_clusters_share() -> None:
    own = OtherCluster(session="own", agent_ports=(52365,))
    assert [*health.judge_ports(facts(clusters=(own,)), "own")] == []
    beside = OtherCluster(session="beside", agent_ports=(1,))
    assert levels(health.judge_ports(facts(clusters=(own, beside)), "own")) == ["ok"]
    in_the_way = OtherCluster(session="other", agent_ports=(52365,))
    [found] = health.judge_ports(facts(clusters=(own, in_the_way)), "own")
    assert found.level == "bad" and "52365" in found.said


@pytest.mark.parametrize(
    ("in_ray", "listed", "level"),
    [(0, None, None), (2, 2, "ok"), (0, 0, "ok"), (1, 2, "warn"), (2, 1, "bad"), (1, None, "bad")],
)
def test_gpus_of_ray_and_of_nvidia_smi(in_ray: float, listed: int | None, level: str) -> None:
    found = health.judge_gpus("one", in_ray, facts(gpus=listed))
    assert (found.level if found else None) == level


def test_nodes_on_one_machine_are_looked_at_once() -> None:
    nodes = [facts("one", machine="m"), facts("two", machine="m"), facts("three")]
    assert [each.host for each in health.machines_of(nodes)] == ["one", "three"]


def test_the_worst_decides() -> None:
    findings = [health.Finding(level, "", "") for level in ("ok", "bad", "warn")]
    assert health.worst(findings) == "bad"
    assert health.worst(findings[::2]) == "warn"
    assert health.worst([]) == "ok"
