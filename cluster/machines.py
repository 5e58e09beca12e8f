"""Connect a driver to its Ray cluster and see what its nodes have; preflight.py judges it."""

import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import ray
import ray._private.worker as ray_worker
from ray._private.state import available_resources_per_node
from ray._private.state import state as ray_state

from cluster.preflight import Node, check_fits, num_placeable
from cluster.secrets import refuse_missing, take_secrets
from cluster.survey import ask_nodes
from configs.errors import HangError
from configs.run_sections import Cluster

WAIT_LIMIT_S = 600.0
WAIT_POLL_S = 0.5
PATIENCE_S = 10.0
"""Time that others get to make room for more workers, where fewer would do."""


def join_cluster(secrets: Sequence[str] = ()) -> None:
    """Connect this driver; the job's environment and token come from the Jobs API.

    Raises ClusterError when a node lacks one of the secrets that are named.
    """
    if ray.is_initialized():
        return
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    # Ray has put its own handler in place, which dumps a stack. `stop --now` is no crash.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if secrets:
        refuse_missing(ask_nodes(list_nodes(), take_secrets, tuple(secrets)))


def own_node_id() -> str:
    """Give the node on which this driver runs."""
    return str(ray.get_runtime_context().get_node_id())


def session_folder() -> str:
    """Give Ray's folder for the life of this cluster on this machine."""
    return str(cast(Any, ray_worker)._global_node.get_session_dir_path())


def list_nodes() -> list[Node]:
    """List the nodes that are alive and stay, with all that they can give, the driver's own first.

    Those that announced that they leave are left out.
    """
    own, leaving = own_node_id(), ray_state.get_draining_nodes()
    nodes = [node for node in _alive() if node.node_id not in leaving]
    return sorted(nodes, key=lambda node: (node.node_id != own, node.host))


def list_free() -> list[Node]:
    """List the nodes that are alive and stay, with what is free on them now."""
    free = available_resources_per_node()
    return [Node(node.node_id, node.host, free.get(node.node_id, {})) for node in list_nodes()]


def grows() -> bool:
    """Say whether an autoscaler may add nodes to the cluster."""
    return bool(ray_state.get_max_resources_from_cluster_config())


def leaving_hosts() -> frozenset[str]:
    """Give the hosts that announced that they leave the cluster: preempted, or drained."""
    leaving = ray_state.get_draining_nodes()
    return frozenset(node.host for node in _alive() if node.node_id in leaving)


@dataclass(frozen=True)
class Sight:
    """What a driver sees of its cluster, each looked up anew."""

    nodes: Callable[[], list[Node]] = list_nodes
    free: Callable[[], list[Node]] = list_free
    grows: Callable[[], bool] = grows


RAY = Sight()


def find_room(asked: Cluster, lanes: int, held: int = 0, seen: Sight = RAY) -> int:
    """Give how many workers can be placed now, by the numbers that share the lanes; 0 for too few.

    `held` workers hold room that they would give back. Nodes that leave count for nothing.
    """
    free = num_placeable(asked, seen.free())
    counts = [count for count in asked.worker_counts(lanes) if count <= free + held]
    return max(counts, default=0)


def wait_for_room(
    asked: Cluster,
    lanes: int,
    say: Callable[[str], None],
    seen: Sight = RAY,
    limit_s: float = WAIT_LIMIT_S,
) -> int:
    """Wait until the workers can be placed now, telling once what is waited for.

    Gives how many of them: as many as the cluster can carry, or, where others use it, as many as
    can be placed after PATIENCE_S. Raises ClusterError when they never can be, HangError when they
    could not for too long.
    """
    started = time.monotonic()
    told = False
    while True:
        nodes = seen.nodes()
        if not seen.grows():
            check_fits(asked, nodes)
        could = [c for c in asked.worker_counts(lanes) if c <= num_placeable(asked, nodes)]
        wanted = max(could, default=asked.fewest_workers)
        found = find_room(asked, lanes, seen=seen)
        waited = time.monotonic() - started
        if found and (found >= wanted or waited > PATIENCE_S):
            return found
        if seen.grows() and waited > WAIT_POLL_S:
            return max(asked.worker_counts(lanes))
        placeable = num_placeable(asked, seen.free())
        if waited > limit_s:
            raise HangError(
                f"cluster.num_workers ({asked.shown_workers}): after {waited:.0f} s only "
                f"{placeable} can be placed, because others use the cluster. Resume when they have "
                "ended, or with --workers and a smaller number"
            )
        if not told and waited > 2:
            say(f"waiting for others: {placeable} of {wanted} workers can be placed now")
            told = True
        time.sleep(WAIT_POLL_S)


def _alive() -> list[Node]:
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]
