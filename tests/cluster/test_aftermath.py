"""What the driver keeps of the end of an attempt."""

import json
from pathlib import Path

from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import WorkerGroupError

from cluster.aftermath import LostNode, keep_aftermath, read_aftermath
from cluster.failures import Failure

DIED = Failure(False, 4, "ClusterError", "worker 1 died")


def node(number: int, *, alive: bool, reason: str = "") -> dict[str, object]:
    host = f"10.0.0.{number}"
    kept = {"NodeID": f"n{number}", "NodeManagerAddress": host, "Alive": alive}
    return {**kept, "DeathReasonMessage": reason}


def test_words_of_ray_and_lost_nodes_are_kept(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / f"rank-{rank}.json").write_text(json.dumps({"host": "h", "node": f"n{rank}"}))
    (tmp_path / "rank-1.hang.json").write_text("{}")
    error = WorkerGroupError("", {1: WorkerHealthCheckFailedError("x", ActorDiedError())})
    nodes = [node(0, alive=True), node(1, alive=False, reason="gone"), node(7, alive=False)]
    keep_aftermath(str(tmp_path), DIED, error, nodes)
    kept = read_aftermath(str(tmp_path))
    assert kept is not None
    assert (kept.error, kept.message, kept.final) == ("ClusterError", "worker 1 died", False)
    assert kept.words == {1: f"ActorDiedError: {ActorDiedError()}"}
    assert kept.nodes == (LostNode(host="10.0.0.1", reason="gone"),)


def test_what_cannot_be_written_or_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep_aftermath(str(tmp_path / "file" / "a01"), DIED, None, [])
    assert read_aftermath(str(tmp_path)) is None
    (tmp_path / "failure.json").write_text("{")
    assert read_aftermath(str(tmp_path)) is None
