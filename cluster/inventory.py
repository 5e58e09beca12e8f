"""List a cluster's nodes from outside, by its dashboard; preflight.py judges what they have."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests

from cluster.connection import connect, sentences
from cluster.diagnosis import NodeEvent
from cluster.preflight import Node
from configs.errors import ClusterError

# The state API of the dashboard, which `ray list nodes` asks too. Ray's own client of it
# (ray 2.60) takes no token for another address than the environment's.
NODES = "/api/v0/nodes?limit=10000"
GROUPS = (
    "/api/v0/placement_groups?limit=10000&detail=1"
    "&filter_keys=state&filter_predicates=%3D&filter_values=CREATED"
)
JOBS = "/api/jobs/"
REQUEST_LIMIT_S = 20


class Door(NamedTuple):
    """What a cluster tells everybody who knocks."""

    ray: str
    asks_for_token: bool
    ahead_s: float
    """Seconds by which its clock is ahead of ours, to a second."""


def look_at_door(address: str) -> Door:
    """Ask a cluster for its version, then knock without a token; raises ClusterError."""
    client = connect(address)
    with sentences(address):
        asked = time.time()
        answer = requests.get(f"{address}{JOBS}", timeout=REQUEST_LIMIT_S)
    date = answer.headers.get("Date")
    middle = (asked + time.time()) / 2
    ahead_s = parsedate_to_datetime(date).timestamp() + 0.5 - middle if date else 0.0
    refused = answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden)
    return Door(str(client._server_ray_version), refused, ahead_s)


def list_nodes_at(address: str) -> list[Node]:
    """List the nodes that are alive, the head first; raises ClusterError when none is told."""
    alive = [node for node in _listed(address, NODES) if node["state"] == "ALIVE"]
    alive.sort(key=lambda node: (not node["is_head_node"], node["node_ip"]))
    return [Node(node["node_id"], node["node_ip"], node["resources_total"]) for node in alive]


def list_free_at(address: str) -> list[Node]:
    """List the nodes that are alive with what groups of workers leave of them now.

    Tasks outside of groups, which come and go, are not counted. Raises ClusterError.
    """
    held: dict[str, dict[str, float]] = {}
    for group in _listed(address, GROUPS):
        for bundle in group["bundles"]:
            taken = held.setdefault(bundle["node_id"], {})
            for name, amount in bundle["unit_resources"].items():
                taken[name] = taken.get(name, 0.0) + amount
    return [
        Node(node.node_id, node.host, _left(node.resources, held.get(node.node_id, {})))
        for node in list_nodes_at(address)
    ]


def _left(total: Mapping[str, float], taken: Mapping[str, float]) -> dict[str, float]:
    return {name: max(0.0, amount - taken.get(name, 0.0)) for name, amount in total.items()}


def list_deaths_at(address: str) -> list[NodeEvent]:
    """List the nodes that are dead, as far as the cluster remembers; raises ClusterError."""
    events = []
    for node in _listed(address, f"{NODES}&detail=1"):
        if node["state"] == "DEAD":
            ended = node.get("end_time_ms")
            reason = node.get("state_message") or "no reason is known"
            when = ended / 1000 if ended else None
            events.append(NodeEvent(time=when, host=node["node_ip"], text=f"died: {reason}"))
    return events


def _listed(address: str, query: str) -> list[dict[str, Any]]:
    client = connect(address)
    with sentences(address):
        answer = client._do_request("GET", query)
    if not answer.ok:
        raise ClusterError(f"The cluster at {address} does not list its nodes: {answer.reason}")
    found: list[dict[str, Any]] = answer.json()["data"]["result"]["result"]
    return found
