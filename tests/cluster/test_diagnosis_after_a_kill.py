"""A worker of a run on the two-node cluster is killed; its directory tells why the run failed."""

import os
import signal
import time
from pathlib import Path

import pytest

from cluster import jobs, runs
from cluster.diagnosis import Outside, diagnose
from cluster.inventory import list_deaths_at
from cluster.local import LocalCluster
from configs.records import Ended, Step
from tests.cluster.fake_training import pid_of
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent
STEPS = 400

pytestmark = pytest.mark.slow


def test_a_killed_worker_is_found_with_its_node_and_its_step(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    env = {"PYTHONPATH": str(ROOT), "FAKE_STEP_S": "0.1"}
    machines = {"num_workers": 2, "max_failures": 0, "env": env}
    recipe = tiny_recipe(tmp_path, name="why", max_steps=STEPS, cluster=machines)
    function = {"function": "tests.cluster.fake_training:finetune"}
    job_id = jobs.submit(two_nodes.address, "finetune", recipe, function)
    steps: list[int] = []
    killed = ended = None
    for entry in jobs.follow(two_nodes.address, job_id):
        if isinstance(entry, Step):
            steps.append(entry.step)
            if entry.step >= 3 and killed is None:
                killed = entry.step
                os.kill(pid_of(tmp_path / "runs" / "why", rank=1), signal.SIGKILL)
        if isinstance(entry, Ended):
            ended = entry
    assert killed is not None and ended is not None and ended.state == "failed"
    job = jobs.job_status(two_nodes.address, job_id)
    outside = Outside(job=job.message, nodes=tuple(list_deaths_at(two_nodes.address)))
    found = diagnose(recipe.storage, "why", outside)
    assert found.cause is not None and found.cause.name == "worker_killed"
    assert found.first is not None
    assert (found.first.rank, found.first.fate) == (1, "silent")
    [attempt] = found.tries
    assert found.first.host == attempt.nodes[1]
    assert found.message == f"worker 1 on {attempt.nodes[1]} died"
    assert "worker process has died" in found.ray_words
    [other] = found.others
    assert (other.rank, other.fate) == (0, "lost another")
    assert other.usage is not None and other.usage.peak_mib > 10
    assert other.usage.wall_s < time.time() - found.created
    # Each step of the fake is a commit; the kill may come between the two.
    assert found.step == steps[-1] >= killed
    assert found.committed_step == runs.newest_commit_step(recipe.storage, "why")
    assert attempt.lost_steps == found.step - (found.committed_step or 0) <= 1
    assert ("cluster.max_failures=2",) in [change.settings for change in found.changes]
