"""Prepare the data on the cluster before any process group exists; what that means is trainers'.

Small inputs are prepared by one task, in a process that then becomes a worker.
"""

import time
from collections.abc import Sequence
from typing import Any

import ray

from cluster.preflight import Node, spread_over
from cluster.warmup import import_for_worker, on_node, start_warm_up, warm_controller
from configs.records import DataReady
from configs.schema import Recipe

WARM_LIMIT_S = 60.0


class Preparing:
    """A preparation that goes on in a task, with other tasks that warm the workers up."""

    def __init__(self, task: Any, warming: list[Any]) -> None:
        self._task = task
        self._warming = warming

    def wait(self) -> DataReady:
        """Wait for the data, then for processes that are warm; raises what preparing raises."""
        try:
            ready = DataReady.model_validate_json(ray.get(self._task))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        # A warm-up that fails costs time only: the worker itself will say what is wrong.
        ray.wait(self._warming, num_returns=len(self._warming), timeout=WARM_LIMIT_S)
        return ready


def start_preparing(recipe: Recipe, nodes: Sequence[Node]) -> Preparing:
    """Start to prepare the data and to warm the workers up; `nodes` has the driver's own first."""
    own = nodes[0].node_id
    if recipe.cluster.gpus_per_worker:
        # A process that imported torch without a GPU does not find the one it is given later.
        return Preparing(on_node(prepare_alone, own).remote(recipe.model_dump_json()), [])
    counts = spread_over(recipe.cluster, nodes)
    first = next(i for i, count in enumerate(counts) if count)
    counts[first] -= 1
    task = on_node(prepare_then_import, nodes[first].node_id).remote(recipe.model_dump_json())
    workers = start_warm_up(recipe, [node.node_id for node in nodes], counts)
    controller = warm_controller(own, [task, *workers])
    return Preparing(task, [task, *workers, controller])


def prepare_now(recipe: Recipe, nodes: Sequence[Node]) -> DataReady:
    """Prepare the data and wait for it; raises what preparing raises."""
    task = on_node(prepare_alone, nodes[0].node_id).remote(recipe.model_dump_json())
    return Preparing(task, []).wait()


def prepare_then_import(recipe: str) -> str:
    """Prepare in a process that then imports what a worker needs; gives a DataReady record."""
    ready = prepare_alone(recipe)
    import_for_worker(recipe)
    return ready


def prepare_alone(recipe: str) -> str:
    """Prepare the data in this process; gives a DataReady record as JSON."""
    from trainers.data.preparation import prepare

    parsed = Recipe.model_validate_json(recipe)
    prepared = prepare(parsed, parsed.storage)
    manifest = prepared.manifest
    return DataReady(
        time=time.time(),
        path=prepared.data_dir,
        fingerprint=manifest.fingerprint,
        cached=prepared.cached,
        rows_in=manifest.report.rows_in,
        duplicates=manifest.report.duplicates,
        dropped=manifest.report.dropped,
        splits={name: split.rows for name, split in manifest.splits.items()},
        num_labels=len(manifest.label_names),
    ).model_dump_json()
