"""Spread the stages of a preparation over the cluster with Ray Data; the stages are trainers'.

How many machines there are changes when the set is there, never which bits it has.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray.data
from pydantic import BaseModel, TypeAdapter

from configs.schema import Recipe
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import (
    Prepared,
    check_fits,
    choose_labels,
    discard,
    find_prepared,
    publish,
)
from trainers.data.sources import Source, hash_source, list_sources
from trainers.data.stages import (
    Cleaned,
    Encoded,
    Scattered,
    clean_bucket,
    encode_bucket,
    scatter_source,
)

Made = TypeVar("Made", bound=BaseModel)


def prepare_spread(recipe: Recipe) -> Prepared:
    """Prepare a recipe's data on all nodes, or find it; raises what a stage raises."""
    sources = list_sources(recipe.data)
    hashed = _map(hash_stage, [source.model_dump_json() for source in sources], "", Source)
    plan = plan_preparation(recipe, recipe.storage, sources=hashed)
    manifest = find_prepared(plan)
    cached = manifest is not None
    if manifest is None:
        try:
            text = plan.model_dump_json()
            buckets = [str(bucket) for bucket in range(plan.num_buckets)]
            numbers = [str(number) for number in range(len(plan.sources))]
            scattered = _map(scatter_stage, numbers, text, Scattered)
            cleaned = _map(clean_stage, buckets, text, Cleaned)
            names = choose_labels(plan, scattered, cleaned)
            known = TypeAdapter(tuple[str, tuple[str, ...], list[Cleaned]])
            shared = known.dump_json((text, names, cleaned)).decode()
            encoded = _map(encode_stage, buckets, shared, Encoded)
            manifest = publish(plan, names, scattered, cleaned, encoded)
        finally:
            discard(plan)
    check_fits(recipe, manifest)
    return Prepared(plan.data_dir, manifest, cached)


def hash_stage(item: str, shared: str) -> BaseModel:
    """Hash one source file."""
    return hash_source(Source.model_validate_json(item))


def scatter_stage(item: str, shared: str) -> BaseModel:
    """Lay the rows of one source into buckets."""
    return scatter_source(Plan.model_validate_json(shared), int(item))


def clean_stage(item: str, shared: str) -> BaseModel:
    """Clean one bucket."""
    return clean_bucket(Plan.model_validate_json(shared), int(item))


def encode_stage(item: str, shared: str) -> BaseModel:
    """Tokenise one bucket and write its shards."""
    known = TypeAdapter(tuple[str, tuple[str, ...], list[Cleaned]])
    text, names, cleaned = known.validate_json(shared)
    return encode_bucket(Plan.model_validate_json(text), int(item), names, cleaned)


def _map(
    stage: Callable[[str, str], BaseModel], items: Sequence[str], shared: str, kind: type[Made]
) -> list[Made]:
    """Run a stage for every item, each as a task of one CPU; gives the results in order."""
    rows = [{"place": place, "item": item} for place, item in enumerate(items)]
    held = ray.put(shared)

    def run(row: dict[str, Any]) -> dict[str, Any]:
        made = stage(row["item"], ray.get(held))
        return {"place": row["place"], "made": made.model_dump_json()}

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    made = {row["place"]: row["made"] for row in data.map(run, num_cpus=1).take_all()}
    return [kind.model_validate_json(made[place]) for place in range(len(items))]
