"""Prepare a recipe's data in one process, or put together what the stages made on many machines.

What a stage does stands in stages.py. A preparation spread over machines runs, with a barrier after
each line:

    plan = plan_preparation(recipe, storage_root)          then find_prepared(plan): a cache hit?
    scattered = [scatter_source(plan, n) for n in range(len(plan.sources))]          in parallel
    cleaned = [clean_bucket(plan, b) for b in range(plan.num_buckets)]               in parallel
    label_names = choose_labels(plan, scattered, cleaned)
    encoded = [encode_bucket(plan, b, label_names, cleaned) for b in ...]            in parallel
    manifest = publish(plan, label_names, scattered, cleaned, encoded)
    check_fits(recipe, manifest)                           also after a cache hit

and `discard(plan)` in the end, whatever happened.
"""

import os
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import DataError, StorageError
from configs.schema import Recipe
from trainers import storage
from trainers.data.cleaning import merge_examples
from trainers.data.labels import choose_label_names
from trainers.data.plan import Plan, plan_preparation
from trainers.data.stages import (
    Cleaned,
    Encoded,
    Scattered,
    clean_bucket,
    encode_bucket,
    join_splits,
    scatter_source,
)
from trainers.data.store import (
    MANIFEST,
    SPLITS,
    CleaningReport,
    Manifest,
    SplitName,
    load_manifest,
)
from trainers.tasks import TaskModule


@dataclass(frozen=True)
class Prepared:
    """A prepared set that is there."""

    data_dir: str
    manifest: Manifest
    cached: bool
    """Whether it was there before."""


def prepare(recipe: Recipe, storage_root: str, tasks: TaskModule | None = None) -> Prepared:
    """Prepare the recipe's data below `<storage_root>/.prepared`, or find it there.

    `tasks` is the module of the recipe's task by default. Raises DataError for data that cannot be
    used as asked. Two at once make one set.
    """
    plan = plan_preparation(recipe, storage_root, tasks=tasks)
    manifest = find_prepared(plan)
    cached = manifest is not None
    if manifest is None:
        try:
            scattered = [scatter_source(plan, number) for number in range(len(plan.sources))]
            cleaned = [clean_bucket(plan, bucket) for bucket in range(plan.num_buckets)]
            names = choose_labels(plan, scattered, cleaned)
            encoded = [
                encode_bucket(plan, bucket, names, cleaned, tasks)
                for bucket in range(plan.num_buckets)
            ]
            manifest = publish(plan, names, scattered, cleaned, encoded)
        finally:
            discard(plan)
    check_fits(recipe, manifest)
    return Prepared(plan.data_dir, manifest, cached)


def find_prepared(plan: Plan) -> Manifest | None:
    """Give the manifest if the set is there and whole, by names and sizes of its shards."""
    if not storage.exists(storage.join(plan.data_dir, MANIFEST)):
        return None
    try:
        manifest = load_manifest(plan.data_dir)
    except DataError:
        return None
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    folder = storage.local_path(plan.data_dir)
    if folder is None:
        there = set(storage.list_names(plan.data_dir))
        return manifest if all(shard.file in there for shard in shards) else None
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    whole = all(sizes.get(shard.file) == shard.num_bytes for shard in shards)
    return manifest if whole else None


def choose_labels(
    plan: Plan, scattered: Sequence[Scattered], cleaned: Sequence[Cleaned]
) -> tuple[str, ...]:
    """Give the label names in order; raises DataError for no rows in a split or unseen labels."""
    counts: dict[SplitName, Counter[str]] = {}
    for part in cleaned:
        for split, labels in part.labels.items():
            counts.setdefault(split, Counter()).update(labels)
    for split in SPLITS:
        if split in counts and not counts[split]:
            raise DataError(_no_rows_left(plan, split, _report(scattered, cleaned)))
    return choose_label_names(plan.recipe.task.labels, counts)


def publish(
    plan: Plan,
    label_names: tuple[str, ...],
    scattered: Sequence[Scattered],
    cleaned: Sequence[Cleaned],
    encoded: Sequence[Encoded],
) -> Manifest:
    """Write the manifest and make the set exist, all at once; a set that was faster is used."""
    parts = {
        split: [each.splits[split] for each in encoded]
        for split in SPLITS
        if split in encoded[0].splits
    }
    manifest = Manifest(
        fingerprint=plan.fingerprint,
        task_kind=plan.recipe.task.kind,
        label_names=label_names,
        splits={split: join_splits(infos, len(label_names)) for split, infos in parts.items()},
        report=_report(scattered, cleaned),
        max_length=encoded[0].max_length,
        pad_token_id=encoded[0].pad_token_id,
    )
    report = manifest.report
    kept = sum(info.rows for info in manifest.splits.values())
    assert report.rows_in == kept + report.duplicates + sum(report.dropped.values())
    data = manifest.model_dump_json(indent=1).encode()
    storage.write_atomically(storage.join(plan.shard_dir, MANIFEST), data)
    if plan.shard_dir != plan.data_dir:
        return _rename(plan, manifest)
    return manifest


def discard(plan: Plan) -> None:
    """Delete what a preparation left on its way."""
    storage.delete(plan.work_dir)


def check_fits(recipe: Recipe, manifest: Manifest) -> None:
    """Raise DataError where lanes would have no row."""
    rows, lanes = manifest.splits["train"].rows, recipe.batch.lanes
    if rows < lanes:
        raise DataError(
            f"batch.lanes ({lanes}) is more than the training rows ({rows}). "
            f"Use at most {rows} lanes or add rows"
        )


def _report(scattered: Sequence[Scattered], cleaned: Sequence[Cleaned]) -> CleaningReport:
    rows_in: Counter[SplitName] = Counter()
    dropped: Counter[str] = Counter()
    for source in scattered:
        rows_in[source.split] += source.rows_in
        dropped.update(source.dropped)
    for bucket in cleaned:
        dropped.update(bucket.dropped)
    examples = [source.examples for source in scattered] + [part.examples for part in cleaned]
    return CleaningReport(
        rows_in=rows_in.total(),
        rows_in_by_split=dict(rows_in),
        duplicates=sum(bucket.duplicates for bucket in cleaned),
        dropped=dict(sorted(dropped.items())),
        conflicts=sum(bucket.conflicts for bucket in cleaned),
        examples=merge_examples(examples),
    )


def _no_rows_left(plan: Plan, split: SplitName, report: CleaningReport) -> str:
    if split in plan.shares and report.rows_in_by_split["train"]:
        share, rows = plan.shares[split], report.rows_in_by_split["train"]
        return (
            f"data.{split} asks for a share of {share:g} of {rows} rows and gets none. "
            "Give a larger share, or a file"
        )
    reasons = {"duplicates": report.duplicates, **report.dropped}
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return (
        f"data.{split} has no rows left of {report.rows_in_by_split.get(split, 0)} "
        f"(dropped: {listed or 'none'}). Check the columns and the files"
    )


def _rename(plan: Plan, manifest: Manifest) -> Manifest:
    """Put the finished folder in its place; gives the manifest of the set that is there then."""
    source, target = storage.local_path(plan.shard_dir), storage.local_path(plan.data_dir)
    assert source is not None
    assert target is not None
    storage.sync_folder(source)
    for _ in range(3):
        try:
            os.rename(source, target)
        except FileExistsError:
            pass
        except OSError as error:
            if not target.exists():
                raise StorageError(f"{target} could not be made: {error}") from error
        else:
            storage.sync_folder(target.parent)
            return manifest
        found = find_prepared(plan)
        if found is not None:
            return found
        _move_aside(target)
    raise StorageError(f"{target} is damaged and cannot be replaced. Delete it")


def _move_aside(damaged: Path) -> None:
    aside = damaged.with_name(f"{damaged.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        os.rename(damaged, aside)
    except FileNotFoundError:
        return
    storage.delete(str(aside))
