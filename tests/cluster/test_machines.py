"""Runs that want the same machines take turns."""

from pathlib import Path

import pytest

from cluster import jobs
from cluster.local import LocalCluster
from cluster.machines import Sight, find_room, wait_for_room
from cluster.preflight import Node
from configs.errors import ClusterError, HangError
from configs.records import Ended, Note
from configs.run_sections import Cluster
from tests.recipes import tiny_recipe

ROOT = Path(__file__).parent.parent.parent


def seen(total: int, free: int, *, grows: bool = False) -> Sight:
    def of(cpus: int) -> list[Node]:
        return [Node("id", "10.0.0.1", {"CPU": cpus})]

    return Sight(nodes=lambda: of(total), free=lambda: of(free), grows=lambda: grows)


def test_room_is_what_is_free_by_numbers_that_share_the_lanes() -> None:
    said: list[str] = []
    asked = Cluster.model_validate({"num_workers": [1, 4]})
    assert find_room(asked, 4, seen=seen(4, 3)) == 2  # 3 do not share 4 lanes
    assert find_room(asked, 4, held=1, seen=seen(4, 3)) == 4
    assert wait_for_room(asked, 4, said.append, seen(4, 4)) == 4
    assert wait_for_room(asked, 4, said.append, seen(0, 0, grows=True)) == 4  # nodes will come
    assert said == []


def test_who_gets_no_room_in_time_is_told() -> None:
    asked, said = Cluster(num_workers=4), []
    with pytest.raises(HangError, match=r"num_workers \(4\): after 0 s only 1 can be placed, .*"):
        wait_for_room(asked, 4, said.append, seen(4, 1), limit_s=-1)
    with pytest.raises(ClusterError, match=r"cannot be placed: .* Use at most 3 workers"):
        wait_for_room(asked, 4, said.append, seen(3, 3))


@pytest.mark.slow
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
