"""Ask every node of the cluster the same question at once; the questions stand elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
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
    return gather(waiting)


def gather(
    waiting: Mapping[str, Any], get: Callable[..., Answer] = ray.get, limit_s: float = LIMIT_S
) -> dict[str, Answer]:
    """Wait for what each node answers, by its address; `get` is ray.get or like it.

    Raises ClusterError when a node does not answer.
    """
    answers: dict[str, Answer] = {}
    for host, held in waiting.items():
        try:
            answers[host] = get(held, timeout=limit_s)
        except GetTimeoutError as error:
            raise ClusterError(
                f"Node {host} does not answer within {limit_s:.0f} s. See whether it is "
                "overloaded, then try again"
            ) from error
        except RayTaskError as error:
            raise ClusterError(
                f"Node {host} cannot answer: {_cause(error)}. See whether it has the same packages "
                "as the others"
            ) from error
        except RayError as error:
            raise ClusterError(
                f"Node {host} ended the process that was to answer ({type(error).__name__}). See "
                "whether it is out of memory or has left the cluster, then try again"
            ) from error
    return answers


def _cause(error: RayTaskError) -> str:
    """Return what a process raised, in one line."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}".rstrip(": .")
