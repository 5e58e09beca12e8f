"""Import in advance what workers need, in processes that Ray then gives to the workers.

Importing torch, DeepSpeed and a model takes longer than everything else before the first step. Ray
keeps the process of a task that has ended and gives it to the next actor that asks for the same
runtime environment on the same node (ray 2.60), so tasks that import warm the workers up.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.orders import FINETUNE, load_function
from configs.schema import Recipe

WORKER_MODULES = ("ray.train.torch", "ray.train.v2._internal.execution.worker_group.worker")
CONTROLLER_MODULES = ("ray.train.torch", "ray.train.v2._internal.execution.controller")
WARM_LIMIT_S = 60.0


def start_warm_up(
    recipe: Recipe, function: str, node_ids: Sequence[str], counts: Sequence[int]
) -> list[Any]:
    """Start one importing task per coming worker on each node; gives the references to wait for."""
    text = recipe.model_dump_json()
    return [
        on_node(import_for_worker, node_id).remote(text, function)
        for node_id, count in zip(node_ids, counts, strict=True)
        for _ in range(count)
    ]


def warm_controller(node_id: str, workers: Sequence[Any]) -> Any:
    """Start the task that warms the process of Ray Train's controller.

    It ends after the workers' tasks: of several idle processes Ray takes the one that became idle
    last, and the controller is the first that asks for one.
    """
    return on_node(import_for_controller, node_id).remote(list(workers))


def on_node(function: Any, node_id: str) -> Any:
    """Make a task that takes no resources and runs on one node if that is alive."""
    return ray.remote(function).options(
        num_cpus=0,
        max_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=True),
    )


def import_for_worker(recipe: str, function: str) -> None:
    """Import what a worker that calls this function for this recipe needs."""
    for module in WORKER_MODULES:
        import_module(module)
    load_function(function)
    if function == FINETUNE:
        from trainers.imports import import_for

        import_for(Recipe.model_validate_json(recipe))


def import_for_controller(workers: list[Any]) -> None:
    """Import what the controller needs, then wait for the workers' tasks."""
    for module in CONTROLLER_MODULES:
        import_module(module)
    ray.wait(workers, num_returns=len(workers), timeout=WARM_LIMIT_S)
