"""Runs that want the same machines take turns."""

from pathlib import Path

import pytest

from cluster import jobs
from cluster.local import LocalCluster
from configs.records import Ended, Note
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow


@pytest.mark.proof
def test_second_run_waits_for_the_first(two_nodes: LocalCluster, tmp_path: Path) -> None:
    ids = []
    for name, steps in (("first", 60), ("second", 1)):
        env = {"PYTHONPATH": str(ROOT), "FAKE_STEP_S": "0.3"}
        cluster = {"num_workers": 2, "cpus_per_worker": 4, "env": env}
        recipe = tiny_recipe(tmp_path, name=name, max_steps=steps, cluster=cluster)
        arguments = {"function": "tests.cluster.fake_training:finetune"}
        ids.append(jobs.submit(two_nodes.address, "finetune", recipe, arguments))
        if name == "first":
            follower = jobs.follow(two_nodes.address, ids[0])
            while getattr(next(follower), "kind", "") != "step":
                continue
    entries = [*jobs.follow(two_nodes.address, ids[1])]
    assert isinstance(entries[-1], Ended)
    assert entries[-1].state == "succeeded", entries[-1].message
    notes = [entry.text for entry in entries if isinstance(entry, Note)]
    assert notes == ["waiting for others: 0 of 2 workers can be placed now"]
    [*_, ended] = follower
    assert isinstance(ended, Ended)
    assert ended.state == "succeeded"
