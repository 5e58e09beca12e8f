"""Ask every node of the cluster the same question at once; the questions stand elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.preflight import Node
from configs.errors import ClusterError

Answer = TypeVar("Answer")
LIMIT_S = 60.0


def ask_nodes(
    nodes: Sequence[Node], question: Callable[..., Answer], *arguments: Any
) -> dict[str, Answer]:
    """Call a function in a process on every node; gives the answers by the address of the node.

    Raises ClusterError when a node does not answer.
    """
    asked = ray.remote(num_cpus=0, max_retries=1)(question)
    waiting = {
        node.host: asked.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote(*arguments)
        for node in nodes
    }
    answers: dict[str, Answer] = {}
    for host, held in waiting.items():
        try:
            answers[host] = ray.get(held, timeout=LIMIT_S)
        except RayError as error:
            raise ClusterError(
                f"Node {host} does not answer: {type(error).__name__}. See whether it is overloaded"
            ) from error
    return answers
