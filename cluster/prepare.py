"""Prepare the data on the cluster before any process group exists; what that means is trainers'.

Small inputs are prepared by one task, in a process that then becomes a worker; spread.py prepares
big ones on all nodes.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import ray

from cluster.preflight import Node, spread_over
from cluster.warmup import WARM_LIMIT_S, import_for_worker, on_node, start_warm_up, warm_controller
from configs.records import DataReady
from configs.schema import Recipe
from trainers import storage as files

if TYPE_CHECKING:
    from trainers.data.preparation import Prepared
    from trainers.data.sources import Source

SMALL_BYTES = 64 * 2**20


class Preparing:
    """A preparation that goes on in a task, with other tasks that warm the workers up."""

    def __init__(self, recipe: Recipe, task: Any, warming: list[Any]) -> None:
        self._recipe = recipe
        self._task = task
        self._warming = warming

    def wait(self) -> DataReady:
        """Wait for the data, then for processes that are warm; raises what preparing raises."""
        made: str | None = ray.get(self._task)
        ready = _prepare_big(self._recipe) if made is None else DataReady.model_validate_json(made)
        # A warm-up that fails costs time only: the worker itself will say what is wrong.
        ray.wait(self._warming, num_returns=len(self._warming), timeout=WARM_LIMIT_S)
        return ready


def start_preparing(recipe: Recipe, function: str, nodes: Sequence[Node]) -> Preparing:
    """Start to prepare the data and to warm up workers that will call a function.

    `nodes` has the driver's own first.
    """
    text = recipe.model_dump_json()
    own = nodes[0].node_id
    if recipe.cluster.gpus_per_worker:
        # A process that imported torch without a GPU does not find the one it is given later.
        return Preparing(recipe, on_node(prepare_alone, own).remote(text), [])
    counts = spread_over(recipe.cluster, nodes)
    first = next(i for i, count in enumerate(counts) if count)
    counts[first] -= 1
    task = on_node(prepare_then_import, nodes[first].node_id).remote(text, function)
    workers = start_warm_up(recipe, function, [node.node_id for node in nodes], counts)
    controller = warm_controller(own, [task, *workers])
    return Preparing(recipe, task, [task, *workers, controller])


def prepare_now(recipe: Recipe, nodes: Sequence[Node]) -> DataReady:
    """Prepare the data and wait for it; raises what preparing raises."""
    task = on_node(prepare_alone, nodes[0].node_id).remote(recipe.model_dump_json())
    return Preparing(recipe, task, []).wait()


def prepare_then_import(recipe: str, function: str) -> str | None:
    """Prepare in a process that then imports what a worker needs; gives what preparing gives."""
    ready = prepare_alone(recipe)
    import_for_worker(recipe, function)
    return ready


def prepare_alone(recipe: str) -> str | None:
    """Prepare the data in this process; gives a DataReady record as JSON, None for big inputs."""
    from trainers.data.preparation import prepare
    from trainers.data.sources import list_sources

    parsed = Recipe.model_validate_json(recipe)
    if not _is_small(list_sources(parsed.data)):
        return None
    return _ready(prepare(parsed, parsed.storage)).model_dump_json()


def _prepare_big(recipe: Recipe) -> DataReady:
    """Prepare on all nodes at once, with the same result."""
    from cluster.spread import prepare_spread

    return _ready(prepare_spread(recipe))


def _is_small(sources: Iterable["Source"]) -> bool:
    """Say whether one process should read all sources; remote ones are fetched by many at once."""
    paths = [files.local_path(source.address) for source in sources]
    local = [path for path in paths if path is not None]
    return len(local) == len(paths) and sum(path.stat().st_size for path in local) <= SMALL_BYTES


def _ready(prepared: "Prepared") -> DataReady:
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
    )
