"""Tokenised rows made on the spot, as a prepared set; what is timed over them stands elsewhere."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from configs.task_sections import TextClassification
from trainers.data.batches import Collate
from trainers.data.store import (
    MANIFEST,
    ROW_ID,
    CleaningReport,
    Manifest,
    Shard,
    SplitInfo,
    hex_sum,
    write_shard,
)
from trainers.tasks.judging import Batching
from trainers.tasks.text_classification import TEXT_CLASSIFICATION

VOCABULARY = 30_000
SHARD_ROWS = 65_536
NUM_LABELS = 10
MAX_LENGTH = 512


def mixed_lengths(source: np.random.Generator, num_rows: int) -> np.ndarray:
    """Draw lengths like those of reviews or documents: log-normal, 4 to 512 tokens."""
    return np.clip(source.lognormal(4, 0.8, num_rows), 4, MAX_LENGTH).astype(np.int32)


def make_rows(source: np.random.Generator, lengths: np.ndarray) -> pa.Table:
    """Make rows of random tokens with the columns of a shard."""
    tokens = source.integers(5, VOCABULARY, int(lengths.sum()), dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int32)]).astype(np.int32)
    labels = source.integers(0, NUM_LABELS, len(lengths), dtype=np.int32)
    return pa.table(
        {
            "input_ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens)),
            "label": pa.array(labels),
            "length": pa.array(lengths.astype(np.int32)),
            ROW_ID: pa.array(source.integers(0, 2**64, len(lengths), dtype=np.uint64)),
        }
    )


def make_set(folder: Path, num_rows: int, *, fixed_length: int | None = None) -> Manifest:
    """Write a prepared set with one split of so many rows, a shard at a time."""
    source = np.random.Generator(np.random.PCG64(0))
    folder.mkdir(parents=True)
    shards: list[Shard] = []
    lengths: Counter[int] = Counter()
    classes = np.zeros(NUM_LABELS, np.int64)
    id_sum = "0"
    for start in range(0, num_rows, SHARD_ROWS):
        rows = min(SHARD_ROWS, num_rows - start)
        if fixed_length is None:
            drawn = mixed_lengths(source, rows)
        else:
            drawn = np.full(rows, fixed_length, np.int32)
        table = make_rows(source, drawn)
        shards.append(write_shard(str(folder), f"train-{len(shards):05d}.arrow", table))
        lengths.update(drawn.tolist())
        classes += np.bincount(table["label"].to_numpy(), minlength=NUM_LABELS)
        id_sum = hex_sum(table[ROW_ID].to_numpy(), id_sum)
    info = SplitInfo(
        rows=num_rows,
        id_sum=id_sum,
        shards=tuple(shards),
        lengths=dict(sorted(lengths.items())),
        class_counts=tuple(classes.tolist()),
    )
    manifest = describe(info)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest


def describe(train: SplitInfo) -> Manifest:
    """Describe a set with a training split alone."""
    return Manifest(
        fingerprint="made-up",
        task_kind="text_classification",
        label_names=tuple(str(label) for label in range(NUM_LABELS)),
        splits={"train": train},
        report=CleaningReport(
            rows_in=train.rows,
            rows_in_by_split={"train": train.rows},
            duplicates=0,
            dropped={},
            conflicts=0,
            examples={},
        ),
        max_length=MAX_LENGTH,
        pad_token_id=0,
    )


def make_collate(manifest: Manifest) -> Collate:
    """Give the function that turns made rows into tensors."""
    task = TextClassification(kind="text_classification")
    labels = len(manifest.label_names)
    return TEXT_CLASSIFICATION.collate(
        task, Batching(manifest.pad_token_id, manifest.max_length, 1, labels)
    )
