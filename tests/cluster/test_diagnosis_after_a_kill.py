"""A worker of a run on the two-node cluster is killed; its directory tells why the run failed."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cluster import jobs, runs
from cluster.diagnosis import Diagnosis, Outside, diagnose
from cluster.inventory import list_deaths_at
from cluster.local import LocalCluster
from cluster.rank_logs import read_ranks
from configs.records import Ended, Step
from tests.cluster.fake_training import pid_of
from tests.cluster.processes import find_controller, held_still
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent
STEPS = 400
LIMIT_S = 60.0

pytestmark = pytest.mark.slow


def kill_rank_1(run_dir: Path) -> None:
    os.kill(pid_of(run_dir, rank=1), signal.SIGKILL)


def diagnose_a_kill(
    cluster: LocalCluster, tmp_path: Path, kill: Callable[[], None]
) -> tuple[Diagnosis, int]:
    """Kill after the third step; give what is found out and the last step that was seen."""
    env = {"PYTHONPATH": str(ROOT), "FAKE_STEP_S": "0.1"}
    machines = {"num_workers": 2, "max_failures": 0, "env": env}
    recipe = tiny_recipe(tmp_path, name="why", max_steps=STEPS, cluster=machines)
    function = {"function": "tests.cluster.fake_training:finetune"}
    job_id = jobs.submit(cluster.address, "finetune", recipe, function)
    steps: list[int] = []
    killed = ended = None
    for entry in jobs.follow(cluster.address, job_id):
        if isinstance(entry, Step):
            steps.append(entry.step)
            if entry.step >= 3 and killed is None:
                killed = entry.step
                kill()
        if isinstance(entry, Ended):
            ended = entry
    assert killed is not None and ended is not None and ended.state == "failed"
    assert steps[-1] >= killed
    job = jobs.job_status(cluster.address, job_id)
    outside = Outside(job=job.message, nodes=tuple(list_deaths_at(cluster.address)))
    return diagnose(recipe.storage, "why", outside), steps[-1]


def check_that_rank_1_is_found(found: Diagnosis) -> None:
    assert found.cause is not None and found.cause.name == "worker_killed"
    assert found.first is not None
    assert (found.first.rank, found.first.fate) == (1, "silent")
    [attempt] = found.tries
    assert found.first.host == attempt.nodes[1]
    assert found.message == f"worker 1 on {attempt.nodes[1]} died"
    assert "worker process has died" in found.ray_words


def test_a_killed_worker_is_found_with_its_node_and_its_step(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    run_dir = tmp_path / "runs" / "why"

    def kill() -> None:
        # Ray ends the others once it has noticed, which rank 0 is to do first.
        with held_still(find_controller(two_nodes)):
            kill_rank_1(run_dir)
            limit = time.monotonic() + LIMIT_S
            while read_ranks(str(run_dir / "logs" / "a01"))[0].usage is None:
                assert time.monotonic() < limit, "rank 0 has not noticed the death"
                time.sleep(0.05)

    found, last_step = diagnose_a_kill(two_nodes, tmp_path, kill)
    check_that_rank_1_is_found(found)
    [other] = found.others
    assert (other.rank, other.fate) == (0, "lost another")
    assert other.usage is not None and other.usage.peak_mib > 10
    assert other.usage.wall_s < time.time() - found.created
    # Each step of the fake is a commit; the kill may come between the two.
    assert found.step == last_step
    assert found.committed_step == runs.newest_commit_step(str(tmp_path / "runs"), "why")
    [attempt] = found.tries
    assert attempt.lost_steps == found.step - (found.committed_step or 0) <= 1
    assert ("cluster.max_failures=2",) in [change.settings for change in found.changes]


def test_a_killed_worker_is_found_where_no_other_has_noticed(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    run_dir = tmp_path / "runs" / "why"

    def kill() -> None:
        psutil.Process(pid_of(run_dir, rank=0)).suspend()
        kill_rank_1(run_dir)

    found, _ = diagnose_a_kill(two_nodes, tmp_path, kill)
    check_that_rank_1_is_found(found)
    [other] = found.others
    assert (other.rank, other.fate, other.usage) == (0, "silent", None)
