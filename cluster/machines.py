"""Connect a driver to its Ray cluster and see what its nodes have; preflight.py judges it."""

import logging
import signal
import time
from collections.abc import Callable
from typing import Any, cast

import ray
import ray._private.worker as ray_worker
from ray._private.state import available_resources_per_node
from ray._private.state import state as ray_state

from cluster.preflight import Node, check_fits, num_placeable
from configs.errors import HangError
from configs.run_sections import Cluster

WAIT_LIMIT_S = 600.0
WAIT_POLL_S = 0.5


def join_cluster() -> None:
    """Connect this driver; the job's environment and token come from the Jobs API."""
    if ray.is_initialized():
        return
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    # Ray has put its own handler in place, which dumps a stack. `stop --now` is no crash.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def own_node_id() -> str:
    """Give the node on which this driver runs."""
    return str(ray.get_runtime_context().get_node_id())


def session_folder() -> str:
    """Give Ray's folder for the life of this cluster on this machine."""
    return str(cast(Any, ray_worker)._global_node.get_session_dir_path())


def list_nodes() -> list[Node]:
    """List the nodes that are alive with all that they can give, the driver's own first."""
    own = own_node_id()
    nodes = [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted(nodes, key=lambda node: (node.node_id != own, node.host))


def list_free() -> list[Node]:
    """List the nodes that are alive with what is free on them now."""
    free = available_resources_per_node()
    return [Node(node.node_id, node.host, free.get(node.node_id, {})) for node in list_nodes()]


def grows() -> bool:
    """Say whether an autoscaler may add nodes to the cluster."""
    return bool(ray_state.get_max_resources_from_cluster_config())


def wait_for_room(asked: Cluster, say: Callable[[str], None]) -> None:
    """Wait until the workers can be placed now, telling once what is waited for.

    Raises ClusterError when they never can be, HangError when they could not for too long.
    """
    started = time.monotonic()
    told = False
    while True:
        if not grows():
            check_fits(asked, list_nodes())
        placeable = num_placeable(asked, list_free())
        if placeable >= asked.num_workers:
            return
        waited = time.monotonic() - started
        if grows() and waited > WAIT_POLL_S:
            return
        if waited > WAIT_LIMIT_S:
            raise HangError(
                f"cluster.num_workers ({asked.num_workers}): after {waited:.0f} s only {placeable} "
                "can be placed, because others use the cluster. Wait for them, or use fewer workers"
            )
        if not told and waited > 2:
            say(f"waiting for others: {placeable} of {asked.num_workers} workers can be placed now")
            told = True
        time.sleep(WAIT_POLL_S)
