"""List a cluster's nodes from outside, by its dashboard; preflight.py judges what they have."""

from cluster.connection import connect, sentences
from cluster.preflight import Node
from configs.errors import ClusterError

# The state API of the dashboard, which `ray list nodes` asks too. Ray's own client of it
# (ray 2.60) takes no token for another address than the environment's.
NODES = "/api/v0/nodes?limit=10000"


def list_nodes_at(address: str) -> list[Node]:
    """List the nodes that are alive, the head first; raises ClusterError when none is told."""
    client = connect(address)
    with sentences(address):
        answer = client._do_request("GET", NODES)
    if not answer.ok:
        raise ClusterError(f"The cluster at {address} does not list its nodes: {answer.reason}")
    found = answer.json()["data"]["result"]["result"]
    alive = [node for node in found if node["state"] == "ALIVE"]
    alive.sort(key=lambda node: (not node["is_head_node"], node["node_ip"]))
    return [Node(node["node_id"], node["node_ip"], node["resources_total"]) for node in alive]
