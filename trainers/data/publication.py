"""Make a prepared set exist, all at once, and find it again; who prepares it stands elsewhere."""

import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.errors import DataError, StorageError, reason_of
from configs.schema import Recipe
from configs.task_sections import ImageClassification
from trainers import storage
from trainers.belongings import PREPARED, delete_ours, find_strangers
from trainers.data.encoding import Encoded, join_splits
from trainers.data.image_sizes import describe_images
from trainers.data.labels import label_notes
from trainers.data.plan import Plan
from trainers.data.report import Tally
from trainers.data.report_page import REPORT, render_report
from trainers.data.stages import Scattered
from trainers.data.store import (
    MANIFEST,
    SPLITS,
    CleaningReport,
    Images,
    Manifest,
    SplitInfo,
    SplitName,
    load_manifest,
)
from trainers.tasks import functions_of

FEW_ROWS = 5
"""Rows of a class below which a metric of it says little."""


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


def publish(
    plan: Plan,
    label_names: tuple[str, ...],
    scattered: Sequence[Scattered],
    encoded: Sequence[Encoded],
    tally: Tally,
) -> Manifest:
    """Write manifest and report and make the set exist; a set that was faster is used."""
    model = plan.recipe.model
    parts = {split: [each.splits[split] for each in encoded] for split in plan.splits}
    splits = {split: join_splits(infos, len(label_names)) for split, infos in parts.items()}
    max_length = encoded[0].max_length
    images = image_facts(plan.recipe, encoded)
    notes = (*image_notes(plan.recipe, images), *label_notes(label_names))
    notes += (*class_notes(splits, label_names), *length_notes(splits, max_length))
    manifest = Manifest(
        fingerprint=plan.fingerprint,
        task_kind=plan.recipe.task.kind,
        label_names=label_names,
        sources=plan.source_names,
        splits=splits,
        report=_report(scattered, tally, notes),
        max_length=max_length,
        pad_token_id=encoded[0].pad_token_id,
        numbers=encoded[0].numbers,
        tokenizer=f"{model.path}@{model.revision}" if model.revision else model.path,
        images=images,
    )
    report = manifest.report
    kept = sum(info.rows for info in manifest.splits.values())
    assert report.rows_in == kept + report.duplicates + sum(report.dropped.values())
    page = render_report(manifest).encode()
    storage.write_atomically(storage.join(plan.shard_dir, REPORT), page)
    data = manifest.model_dump_json(indent=1).encode()
    storage.write_atomically(storage.join(plan.shard_dir, MANIFEST), data)
    if plan.shard_dir != plan.data_dir:
        return publish_folder(plan, manifest)
    return manifest


def publish_folder(plan: Plan, manifest: Manifest) -> Manifest:
    """Put a finished folder in its place; return the manifest of the set that is there then.

    A set that is there and whole is used; a damaged one is replaced, unless it holds what is not
    ours. Raises StorageError.
    """
    source, target = storage.local_path(plan.shard_dir), storage.local_path(plan.data_dir)
    assert source is not None
    assert target is not None
    storage.sync(source)
    while True:  # each time round a damaged set has been put aside
        try:
            os.rename(source, target)
        except FileExistsError:
            pass
        except OSError as error:
            if not target.exists():
                raise StorageError(
                    f"{target} could not be made: {reason_of(error)}. Mend that, then prepare the "
                    "data again"
                ) from error
        else:
            storage.sync(target.parent)
            return manifest
        found = find_prepared(plan)
        if found is not None:
            return found
        _move_aside(target)


def image_facts(recipe: Recipe, encoded: Sequence[Encoded]) -> Images | None:
    """Say how large images were and how large they are fed; None where rows are tokens."""
    pixels = functions_of(recipe.task).pixels
    if pixels is None:
        return None
    shape = pixels(recipe.task, encoded[0].numbers)
    return describe_images([each.image_sizes for each in encoded], shape)


def image_notes(recipe: Recipe, images: Images | None) -> tuple[str, ...]:
    """Say that images are brought to another size, which may cost many times the pixels."""
    if images is None or not isinstance(recipe.task, ImageClassification):
        return ()
    note = images.note(recipe.task.image_size)
    return (note,) if note is not None else ()


def class_notes(
    splits: Mapping[SplitName, SplitInfo], label_names: tuple[str, ...]
) -> tuple[str, ...]:
    """Say of which classes validation has so few rows that the best weights are chosen by chance.

    Rows are dealt by a hash of their content, so that a text is never on two sides; a share of few
    rows does not hold each class in proportion.
    """
    validation = splits.get("validation")
    if validation is None or not validation.rows:
        return ()
    learnt = splits["train"].class_counts
    rare = [
        f"{name} {count}"
        for name, count, rows in zip(label_names, validation.class_counts, learnt, strict=False)
        if count < FEW_ROWS and rows
    ]
    if not rare:
        return ()
    some = ", ".join(rare[:5]) + (", ..." if len(rare) > 5 else "")
    return (
        f"validation has fewer than {FEW_ROWS} rows of {len(rare):,} of {len(label_names):,} "
        f"classes ({some}): metrics by class move with single rows. Give it more if it matters",
    )


def length_notes(splits: Mapping[SplitName, SplitInfo], max_length: int) -> tuple[str, ...]:
    """Say how many rows have as many tokens as fit, because what they had beyond was cut."""
    lengths = [pair for info in splits.values() for pair in info.lengths.items()]
    full = sum(count for length, count in lengths if length >= max_length)
    if not full or max_length == 1:  # an image is one
        return ()
    return (
        f"{full:,} of {sum(count for _, count in lengths):,} rows have batch.max_length "
        f"({max_length}) tokens: what they had beyond was cut. Raise it if that matters",
    )


def _report(scattered: Sequence[Scattered], tally: Tally, notes: tuple[str, ...]) -> CleaningReport:
    rows_in: Counter[SplitName] = Counter()
    for source in scattered:
        rows_in[source.split] += source.rows_in
    return CleaningReport(
        rows_in=rows_in.total(),
        rows_in_by_split={split: rows_in[split] for split in SPLITS if split in rows_in},
        **tally.model_dump(),
        notes=notes,
    )


def _move_aside(damaged: Path) -> None:
    strangers = find_strangers(str(damaged), PREPARED)
    if strangers:
        raise StorageError(
            f"{damaged} is damaged and has to be prepared again, but holds {strangers[0]}, which "
            "is not ours to delete. Move it elsewhere"
        )
    aside = damaged.with_name(f"{damaged.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        os.rename(damaged, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{damaged} is damaged and cannot be replaced: {reason_of(error)}. Delete it"
        ) from error
    delete_ours(str(aside), PREPARED)
