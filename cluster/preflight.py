"""Say at once what the cluster can never carry; who waits for what it carries later is driver.py.

Ray waits without end for resources that no node can give (ray 2.60).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.errors import ClusterError
from configs.run_sections import Cluster

GIB = 2**30
UNITS = {"CPU": "CPUs", "GPU": "GPUs", "memory": "GiB of memory"}


@dataclass(frozen=True)
class Node:
    """One machine of the cluster, with all that it can give or all that is free now."""

    node_id: str
    host: str
    resources: Mapping[str, float]


def resources_per_worker(asked: Cluster) -> dict[str, float]:
    """Give what each worker takes, under Ray's names; memory in bytes."""
    needed = {"CPU": asked.cpus_per_worker, **asked.resources_per_worker}
    if asked.gpus_per_worker:
        needed["GPU"] = asked.gpus_per_worker
    if asked.memory_gib_per_worker is not None:
        needed["memory"] = asked.memory_gib_per_worker * GIB
    return needed


def workers_per_node(asked: Cluster, nodes: Sequence[Node]) -> list[int]:
    """Count the workers that fit on each node."""
    needed = resources_per_worker(asked)
    return [
        min(
            math.floor(node.resources.get(name, 0.0) / amount + 1e-9)
            for name, amount in needed.items()
            if amount > 0
        )
        for node in nodes
    ]


def num_placeable(asked: Cluster, nodes: Sequence[Node]) -> int:
    """Count the workers that the nodes can carry at once under the asked placement."""
    fitting = workers_per_node(asked, nodes)
    if asked.placement == "STRICT_PACK":
        return max(fitting, default=0)
    if asked.placement == "STRICT_SPREAD":
        return sum(count > 0 for count in fitting)
    return sum(fitting)


def check_fits(asked: Cluster, nodes: Sequence[Node]) -> None:
    """Raise ClusterError when the nodes can never carry the fewest workers, with the way out."""
    placeable = num_placeable(asked, nodes)
    if placeable >= asked.fewest_workers:
        return
    needed = resources_per_worker(asked)
    each = ", ".join(_amount(name, amount) for name, amount in needed.items())
    found = "; ".join(
        f"{node.host} " + ", ".join(_amount(name, node.resources.get(name, 0.0)) for name in needed)
        for node in nodes
    )
    strict = f" with placement {asked.placement}" if asked.placement.startswith("STRICT") else ""
    way_out = f"Use at most {placeable} workers" if placeable else "Ask for less per worker"
    raise ClusterError(
        f"cluster.num_workers ({asked.shown_workers}), each with {each}, cannot be placed{strict}: "
        f"{len(nodes)} nodes have {found}. {way_out}, or add machines to the cluster"
    )


def spread_over(asked: Cluster, nodes: Sequence[Node]) -> list[int]:
    """Guess how many workers Ray will put on each node; a wrong guess costs time only."""
    room = workers_per_node(asked, nodes)
    placed = [0] * len(nodes)
    packs = asked.placement.endswith("PACK")
    for _ in range(min(asked.most_workers, sum(room))):
        open_nodes = [i for i in range(len(nodes)) if placed[i] < room[i]]
        if packs:
            chosen = max(open_nodes, key=lambda i: (placed[i], room[i]))
        else:
            chosen = min(open_nodes, key=lambda i: placed[i])
        placed[chosen] += 1
    return placed


def _amount(name: str, amount: float) -> str:
    shown = amount / GIB if name == "memory" else amount
    return f"{shown:.4g} {UNITS.get(name, name)}"
