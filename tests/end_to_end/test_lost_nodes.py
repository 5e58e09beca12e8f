"""Nodes that are lost: the head with its whole cluster, and a member until another one joins."""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.local import LocalCluster, add_node, start_local_cluster, stop_local_cluster
from tests.person import Person, same_bits

pytestmark = [pytest.mark.slow, pytest.mark.proof]

CPUS = 4


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a THAW_HOME beside the person's own; ends the cluster that a test starts there."""
    yield tmp_path
    stop_local_cluster(tmp_path)


def cut_the_power(pids: tuple[int, ...]) -> None:
    """End all processes of some nodes at once, so that none of them can tidy up."""
    nodes = [psutil.Process(pid) for pid in pids]
    family = [child for node in nodes for child in node.children(recursive=True)]
    for process in (*nodes, *family):
        process.suspend()
    for process in (*nodes, *family):
        process.kill()
    psutil.wait_procs(family, timeout=10)


def test_a_run_goes_on_when_its_head_node_is_lost(
    person: Person, undisturbed: str, two_nodes: LocalCluster, home: Path
) -> None:
    name = "moved"
    lost = start_local_cluster(1, CPUS, home=home)
    process = person.start("submit", person.recipe(name), home=home)
    person.wait(process, lambda: person.committed(name) >= 40)
    cut_the_power(lost.pids)
    process.kill()
    process.communicate()
    elsewhere = ("--address", two_nodes.address, "--storage", person.runs)
    person.thaw("resume", name, *elsewhere, "--set", "optimizer.learning_rate=0.5", code=2)
    person.thaw("resume", name, *elsewhere)
    first, second = person.records(name, "attempt")
    assert (len({*first["nodes"]}), len({*second["nodes"]})) == (1, 2)
    assert second["resumed_from_step"] >= 40
    assert same_bits(person.weights(name), person.weights(undisturbed))
    assert [r["ok"] for r in person.records(name, "ledger")] == [True] * 20


def test_a_run_goes_on_with_fewer_workers_and_grows_when_a_node_joins(
    person: Person, undisturbed: str, home: Path
) -> None:
    name = "elastic"
    logs = person.runs / name / "logs" / "a02"
    cluster = start_local_cluster(2, CPUS, home=home)
    # A worker takes a whole node, so that two of them are on two.
    asked = {"num_workers": (1, 2), "cpus_per_worker": CPUS}
    process = person.start("submit", person.recipe(name, cluster=asked), home=home)
    person.wait(process, lambda: person.committed(name) >= 40)
    cut_the_power(cluster.pids[1:])
    person.wait(process, lambda: len(person.records(name, "attempt")) == 2)
    alone = psutil.Process(json.loads((logs / "rank-0.json").read_text())["pid"])
    alone.suspend()  # else it would have taken all steps before the node is there
    add_node(cluster, home)
    person.wait(process, (logs / "pause.json").exists)
    alone.resume()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, (out, err)
    first, second, third = person.records(name, "attempt")
    assert [each["num_workers"] for each in (first, second, third)] == [2, 1, 2]
    assert second["resumed_from_step"] >= 40
    assert third["reason"] == "there is room for 2 workers instead of 1"
    ours, theirs = person.records(name, "step"), person.records(undisturbed, "step")
    assert [each["step"] for each in ours] == [each["step"] for each in theirs]
    assert [each["loss"] for each in ours] == pytest.approx([r["loss"] for r in theirs], rel=1e-5)
    assert [r["ok"] for r in person.records(name, "ledger")] == [True] * 20
