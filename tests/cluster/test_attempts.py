"""A controller that dies; workers that die are in test_finetuning."""

import threading
from pathlib import Path

import pytest

from cluster import jobs
from cluster.local import LocalCluster
from configs.records import Attempt, Ended, Record, Step
from tests.cluster.processes import find_controller
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 240

pytestmark = pytest.mark.slow


@pytest.mark.proof
def test_controller_that_dies_gives_back_its_room(two_nodes: LocalCluster, tmp_path: Path) -> None:
    # All eight CPUs: another attempt finds no room while the first one's is held.
    recipe = tiny_recipe(
        tmp_path,
        name="headless",
        max_steps=12,
        cluster={
            "num_workers": 2,
            "cpus_per_worker": 4,
            "env": {"PYTHONPATH": str(ROOT), "FAKE_STEP_S": "0.3"},
        },
    )
    arguments = {"function": "tests.cluster.fake_training:finetune"}
    job_id = jobs.submit(two_nodes.address, "finetune", recipe, arguments)
    timer = threading.Timer(LIMIT_S, jobs.stop_job, (two_nodes.address, job_id))
    timer.start()
    entries: list[Record | str] = []
    for entry in jobs.follow(two_nodes.address, job_id):
        entries.append(entry)
        if isinstance(entry, Step) and (entry.attempt, entry.step) == (1, 3):
            find_controller(two_nodes).kill()
    timer.cancel()
    assert isinstance(entries[-1], Ended)
    assert entries[-1].state == "succeeded", entries[-1].message
    _, second = (entry for entry in entries if isinstance(entry, Attempt))
    assert second.reason == "the process that watches the workers died"
    assert second.resumed_from_step is not None
