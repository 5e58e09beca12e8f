"""A cluster that is gone with its head node: runs go on elsewhere, from their storage alone."""

from pathlib import Path

import psutil
import pytest

from cluster.local import LocalCluster, start_local_cluster, stop_local_cluster
from tests.person import Person, same_bits

pytestmark = pytest.mark.slow


def cut_the_power(cluster: LocalCluster) -> None:
    """End all processes of a cluster at once, so that none of them can tidy up."""
    nodes = [psutil.Process(pid) for pid in cluster.pids]
    family = [child for node in nodes for child in node.children(recursive=True)]
    for process in (*nodes, *family):
        process.suspend()
    for process in (*nodes, *family):
        process.kill()
    psutil.wait_procs(family, timeout=10)


@pytest.mark.proof
def test_a_run_goes_on_when_its_head_node_is_lost(
    person: Person, undisturbed: str, two_nodes: LocalCluster, tmp_path: Path
) -> None:
    name = "moved"
    lost = start_local_cluster(1, 4, home=tmp_path)
    try:
        process = person.start("submit", person.recipe(name), home=tmp_path)
        person.wait(process, lambda: person.steps(name) >= 45)
        cut_the_power(lost)
        process.kill()
        process.communicate()
    finally:
        stop_local_cluster(tmp_path)
    elsewhere = ("--address", two_nodes.address, "--storage", person.runs)
    person.thaw("resume", name, *elsewhere, "--set", "optimizer.learning_rate=0.5", code=2)
    person.thaw("resume", name, *elsewhere)
    first, second = person.records(name, "attempt")
    assert (len({*first["nodes"]}), len({*second["nodes"]})) == (1, 2)
    assert second["resumed_from_step"] >= 40
    assert same_bits(person.weights(name), person.weights(undisturbed))
    assert [r["ok"] for r in person.records(name, "ledger")] == [True] * 20
