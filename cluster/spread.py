"""Spread the stages of a preparation over the cluster with Ray Data; the stages are trainers'.

How many machines there are changes when the set is there, never which bits it has.
"""

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray.data

from cluster.secrets import take_secrets
from configs.schema import Recipe
from configs.task_columns import Columns
from trainers.data.image_contents import hash_with_images
from trainers.data.plan import Plan, find_sources, plan_preparation
from trainers.data.preparation import Prepared, Progress, prepare_plan
from trainers.data.sources import Source
from trainers.data.stages import Tick
from trainers.tasks import functions_of


def prepare_spread(
    recipe: Recipe, progress: Progress | None = None, labels: tuple[str, ...] | None = None
) -> Prepared:
    """Prepare a recipe's data on all nodes, or find it; raises what a stage raises.

    With `labels`, those of a run, the test rows alone are prepared.
    """
    sources = find_sources(recipe, labels)
    columns = functions_of(recipe.task).columns(recipe.task)
    run = partial(run_spread, secrets=recipe.cluster.secrets)
    hashed: list[Source] = run(_hash_source, columns, sources, lambda _: None)
    plan = plan_preparation(recipe, recipe.storage, sources=hashed, labels=labels)
    return prepare_plan(plan, run, progress)


def _hash_source(columns: Columns, source: Source) -> Source:
    return hash_with_images(source, columns)


def run_spread(
    stage: Callable[[Any, Any], Any],
    plan: Plan | Columns,
    items: Sequence[Any],
    tick: Tick,
    *,
    secrets: tuple[str, ...] = (),
) -> list[Any]:
    """Run a stage for every item, each as a task of one CPU; gives the results in order."""
    rows = [{"place": place, "item": pickle.dumps(item)} for place, item in enumerate(items)]
    held = ray.put(plan)

    def run(row: dict[str, Any]) -> dict[str, Any]:
        take_secrets(secrets)
        made = stage(ray.get(held), pickle.loads(row["item"]))
        return {"place": row["place"], "made": pickle.dumps(made)}

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    made: dict[int, Any] = {}
    for row in data.map(run, num_cpus=1).iter_rows():
        made[row["place"]] = pickle.loads(row["made"])
        tick(len(made) / len(items))
    return [made[place] for place in range(len(items))]
