"""Machines that join a run and machines that announce that they leave it."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cluster import jobs
from cluster.local import LocalCluster, add_node
from cluster.nodes import end_nodes
from configs.records import Attempt, Ended, Note, Record, Step
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 240

pytestmark = pytest.mark.slow


@pytest.fixture
def third(two_nodes: LocalCluster, tmp_path: Path) -> Iterator[list[LocalCluster]]:
    """Hold the cluster with a third node, once the test has added it; ends the node."""
    held: list[LocalCluster] = []
    yield held
    for larger in held:
        end_nodes(larger.processes[2:])


def drain(cluster: LocalCluster, host: str) -> None:
    """Announce that a node leaves in two minutes, as clouds do before they take one back."""
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": cluster.token_path,
        "PATH": "/usr/bin:/bin",
    }
    code = (
        "import sys, ray\n"
        "from ray._raylet import GcsClient\n"
        "ray.init(address=sys.argv[1], logging_level='error')\n"
        "node = next(n['NodeID'] for n in ray.nodes() if n['NodeManagerAddress'] == sys.argv[2])\n"
        "gcs = GcsClient(address=sys.argv[1])\n"
        "import time\n"
        "accepted, why = gcs.drain_node(node, 2, 'preempted', int(time.time() * 1000) + 120_000)\n"
        "assert accepted, why\n"
    )
    words = [sys.executable, "-c", code, cluster.gcs_address, host]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.proof
def test_a_run_grows_with_the_cluster_and_leaves_a_node_in_time(
    two_nodes: LocalCluster, third: list[LocalCluster], tmp_path: Path
) -> None:
    env = {"PYTHONPATH": str(ROOT), "FAKE_STEP_S": "0.3"}
    cluster = {"num_workers": (2, 3), "cpus_per_worker": 4, "env": env}
    recipe = tiny_recipe(
        tmp_path, name="elastic", max_steps=600, batch={"lanes": 6}, cluster=cluster
    )
    arguments = {"function": "tests.cluster.fake_training:finetune"}
    job_id = jobs.submit(two_nodes.address, "finetune", recipe, arguments)
    timer = threading.Timer(LIMIT_S, jobs.stop_job, (two_nodes.address, job_id))
    timer.start()
    entries: list[Record | str] = []
    events: dict[int, Callable[[], object]] = {
        1: lambda: third.append(add_node(two_nodes, tmp_path)),
        2: lambda: drain(two_nodes, "127.0.0.4"),
        3: lambda: jobs.stop_job(two_nodes.address, job_id),
    }
    for entry in jobs.follow(two_nodes.address, job_id):
        entries.append(entry)
        # With the first step of each attempt something happens to its machines.
        if isinstance(entry, Step) and (event := events.pop(entry.attempt, None)):
            event()
    timer.cancel()
    ended = entries[-1]
    assert isinstance(ended, Ended)
    assert ended.state == "stopped", ended.message
    attempts = [entry for entry in entries if isinstance(entry, Attempt)]
    assert [attempt.num_workers for attempt in attempts] == [2, 3, 2]
    assert attempts[1].reason == "there is room for 3 workers instead of 2"
    assert attempts[2].reason == "127.0.0.4 will leave the cluster"
    # Each attempt goes on with the step after the last one of the attempt before: none is lost.
    steps = [entry.step for entry in entries if isinstance(entry, Step)]
    assert steps == [*range(1, len(steps) + 1)]
    notes = [entry.text for entry in entries if isinstance(entry, Note)]
    assert f"attempt 1 paused after step {attempts[1].resumed_from_step}" in notes[0]
    assert not [process for pid in third[0].pids[2:] for process in _workers(pid)]


def _workers(pid: int) -> list[psutil.Process]:
    """Give the train workers below a node's process."""
    children = psutil.Process(pid).children(recursive=True) if psutil.pid_exists(pid) else []
    return [child for child in children if "RayTrainWorker" in " ".join(child.cmdline())]
