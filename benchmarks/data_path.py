"""Rows per second from disk to padded tensors, and what padding costs a real training step.

Thaw's reader against Hugging Face `datasets` under a torch DataLoader and against Ray Data, over
the same tokenised rows, in turns. Then training steps of a small BERT: microbatches cut by tokens
against random batches padded to their longest row.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.made_rows import MAX_LENGTH, VOCABULARY, make_collate, make_set
from trainers.data.batches import read_steps
from trainers.data.lane_rows import open_lanes
from trainers.data.lanes import LanePlan
from trainers.data.store import Manifest, Split, open_split
from trainers.data.token_budget import plan_tokens

BATCH_ROWS = 32
MICROBATCH_TOKENS = 4096
SHUFFLE_ROWS = 10_000

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]
Batches = Callable[[], Iterator[Batch]]


def thaw_batches(split: Split, manifest: Manifest, *, by_tokens: bool) -> Batches:
    """Give Thaw's batches, of rows or of tokens."""
    rows = split.info.rows
    budget = None
    if by_tokens:
        budget = plan_tokens(split.info.lengths, MICROBATCH_TOKENS, 1, rows)
    plan = LanePlan(rows, 1, BATCH_ROWS, seed=0, shuffle=True, budget=budget)
    collate = make_collate(manifest)

    def batches() -> Iterator[Batch]:
        with read_steps(open_lanes(split, plan, 0, 1), plan, collate, epoch=0) as steps:
            for (microbatch,) in steps:
                yield microbatch.inputs, microbatch.labels

    return batches


def pad(rows: list[dict[str, Any]]) -> Batch:
    """Pad rows as DataCollatorWithPadding does, in the fastest way that lists allow."""
    width = max(len(row["input_ids"]) for row in rows)
    ids = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row["input_ids"])] = row["input_ids"]
        mask[place, : len(row["input_ids"])] = 1
    labels = torch.tensor([row["label"] for row in rows])
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}, labels


def datasets_batches(folder: Path, workers: int) -> Batches:
    """Give the batches of Hugging Face datasets under a DataLoader."""
    import datasets
    from torch.utils.data import DataLoader

    rows = datasets.load_from_disk(str(folder))
    loader: Any = DataLoader(
        rows, batch_size=BATCH_ROWS, shuffle=True, collate_fn=pad, num_workers=workers
    )
    return lambda: iter(loader)


def ray_batches(folder: Path) -> Batches:
    """Give the batches of Ray Data, shuffled in a buffer as its guide for training does."""
    import ray.data

    rows = ray.data.read_parquet(str(folder))

    def collate(columns: dict[str, np.ndarray]) -> Batch:
        lists = zip(columns["input_ids"], columns["label"], strict=True)
        return pad([{"input_ids": ids, "label": label} for ids, label in lists])

    def batches() -> Iterator[Batch]:
        return iter(
            rows.iter_torch_batches(
                batch_size=BATCH_ROWS,
                collate_fn=collate,
                local_shuffle_buffer_size=SHUFFLE_ROWS,
                prefetch_batches=2,
            )
        )

    return batches


def rows_per_second(batches: Batches, num_rows: int) -> float:
    """Time the delivery of so many rows, the first batch not counted."""
    stream = batches()
    next(stream)
    started, seen = time.perf_counter(), 0
    for _, labels in stream:
        seen += len(labels)
        if seen >= num_rows:
            break
    return seen / (time.perf_counter() - started)


def padding_share(batches: Batches, num_batches: int) -> float:
    """Give the share of fed tokens that is padding."""
    fed = real = 0
    for inputs, _ in islice(batches(), num_batches):
        fed += inputs["attention_mask"].numel()
        real += int(inputs["attention_mask"].sum())
    return 1 - real / fed


def train_rows_per_second(batches: Batches, model: torch.nn.Module, num_batches: int) -> float:
    """Time forward, backward and optimizer step; gives rows per second."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    stream, seen = batches(), 0
    started = time.perf_counter()
    for inputs, labels in islice(stream, num_batches):
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen += len(labels)
    return seen / (time.perf_counter() - started)


def small_bert() -> torch.nn.Module:
    """Build a BERT of 4 layers, 256 wide."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=MAX_LENGTH,
        num_labels=10,
    )
    return BertForSequenceClassification(config)


def write_others(folder: Path, split: Split) -> None:
    """Write the same rows for the other two."""
    import datasets

    table = split.read(np.arange(split.info.rows)).select(["input_ids", "label"])
    datasets.Dataset(table).save_to_disk(str(folder / "datasets"))
    (folder / "parquet").mkdir()
    for number in range(8):
        part = table.slice(number * len(table) // 8, len(table) // 8)
        pq.write_table(part, folder / "parquet" / f"{number}.parquet")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--train-batches", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thaw-data-path-") as name:
        folder = Path(name)
        manifest = make_set(folder / "thaw", arguments.rows)
        split = open_split(str(folder / "thaw"), manifest, "train")
        write_others(folder, split)
        measure(folder, manifest, split, arguments)


def measure(folder: Path, manifest: Manifest, split: Split, arguments: argparse.Namespace) -> None:
    """Take both measurements and print them."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    thaw = thaw_batches(split, manifest, by_tokens=False)
    sides = {
        "thaw": thaw,
        "datasets, no workers": datasets_batches(folder / "datasets", 0),
        "datasets, 2 workers": datasets_batches(folder / "datasets", 2),
        "Ray Data": ray_batches(folder / "parquet"),
    }
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(arguments.runs + 1):
        for side, batches in sides.items():
            share = 1.0 if side == "thaw" else 0.1
            speed = rows_per_second(batches, int(arguments.rows * share * 0.9))
            if turn:
                speeds[side].append(speed)
    ray.shutdown()
    print(f"{'rows to tensors':<24}{'rows/s':>12}{'thaw is':>12}")
    for side, found in speeds.items():
        ratio = median(a / b for a, b in zip(speeds["thaw"], found, strict=True))
        print(f"{side:<24}{median(found):>12,.0f}{ratio:>11.1f}x")
    by_tokens = thaw_batches(split, manifest, by_tokens=True)
    random_rows = sides["datasets, no workers"]
    training: dict[str, list[float]] = {"by tokens": [], "random rows": []}
    model = small_bert()
    for turn in range(arguments.runs + 1):
        for side, batches in (("by tokens", by_tokens), ("random rows", random_rows)):
            speed = train_rows_per_second(batches, model, arguments.train_batches)
            if turn:
                training[side].append(speed)
    print(f"\n{'training step':<24}{'rows/s':>12}{'padding':>12}")
    for side, batches in (("by tokens", by_tokens), ("random rows", random_rows)):
        share = padding_share(batches, 400)
        print(f"{side:<24}{median(training[side]):>12,.1f}{share:>11.1%}")
    ratio = median(a / b for a, b in zip(*training.values(), strict=True))
    print(f"{'ratio':<24}{ratio:>11.2f}x")


if __name__ == "__main__":
    main()
