"""What each way to balance classes does to small classes, on a frozen encoder with a new head.

The data are those of CLINC150 with unequal classes (25 to 100 rows each; Larson et al. 2019).
Every row goes through the encoder once; then a linear head is trained on the pooled vectors with
the draws and losses that a run uses, once per method and seed.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.metrics import f1_score

from configs.balance_sections import Balance, Loss
from launcher.text_demonstration import model_folder
from trainers.data.class_balance import plan_rates
from trainers.data.lanes import LanePlan
from trainers.losses import build_class_loss

METHODS = {
    "none": Balance(),
    "oversample": Balance(method="oversample"),
    "undersample": Balance(method="undersample"),
    "weighted_loss": Balance(method="weighted_loss"),
    "weighted_loss, effective_number": Balance(method="weighted_loss", target="effective_number"),
    "focal": Balance(method="focal"),
    "logit_adjusted": Balance(method="logit_adjusted"),
}
LANES = 4
MICROBATCH_SIZE = 16
SMALL_ROWS = 25
"""Classes of so many training rows or fewer are small."""


@dataclass(frozen=True)
class Vectors:
    """One split: pooled vectors (rows, width) and class numbers (rows)."""

    inputs: torch.Tensor
    labels: torch.Tensor


def embed(texts: list[str]) -> torch.Tensor:
    """Give the mean of the last hidden states of each text: (rows, width)."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    model = AutoModel.from_pretrained(model_folder()).eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    pooled = torch.empty(len(texts), model.config.hidden_size)
    with torch.no_grad():
        for start in range(0, len(order), 128):
            rows = order[start : start + 128]
            batch = tokenizer([texts[row] for row in rows], padding=True, return_tensors="pt")
            hidden = model(**batch).last_hidden_state  # (rows, tokens, width)
            mask = batch["attention_mask"][..., None]
            pooled[rows] = (hidden * mask).sum(1) / mask.sum(1)
    return pooled


def load_vectors(path: Path) -> tuple[dict[str, Vectors], list[str]]:
    """Embed the splits of the file; also gives the label names."""
    content = json.loads(path.read_text())
    names = sorted({label for _, label in content["train"]})
    number = {name: place for place, name in enumerate(names)}
    splits = {}
    for split in ("train", "test"):
        rows = [(text, number[label]) for text, label in content[split] if label in number]
        # A run meets its rows in the order of their hashes; here a fixed shuffle stands for it.
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(rows))
        labels = torch.tensor([rows[row][1] for row in order])
        splits[split] = Vectors(embed([rows[row][0] for row in order]), labels)
    return splits, names


def equal_lengths(start: int, stop: int) -> np.ndarray:
    """Say that all rows are equally long: vectors are."""
    return np.ones(stop - start, np.int32)


def epoch_rows(
    balance: Balance, names: list[str], labels: np.ndarray, seed: int, epoch: int
) -> Iterator[np.ndarray]:
    """Yield the rows of each step of an epoch, as a run with these lanes feeds them."""
    counts = np.bincount(labels, minlength=len(names)).tolist()
    rates = plan_rates(balance, names, counts, LANES)
    num_rows = len(labels) if rates is None else rates.num_rows
    plan = LanePlan(num_rows, LANES, MICROBATCH_SIZE, seed, shuffle=True)
    streams = []
    for lane in range(LANES):
        start, stop = lane * len(labels) // LANES, (lane + 1) * len(labels) // LANES
        first, end = plan.lane_range(lane)
        drawn = np.arange(start, stop)
        if rates is not None:
            drawn = start + rates.draw(labels[start:stop], end - first, seed, epoch, lane)
        steps = plan.microbatches(epoch, lane, equal_lengths)
        streams.append([drawn[rows - first] for rows in steps])
    for step in zip(*streams, strict=True):
        yield np.concatenate(step)


def train_head(
    balance: Balance, train: Vectors, names: list[str], seed: int, epochs: int
) -> torch.nn.Linear:
    """Train a linear head with the method's draws and loss."""
    torch.manual_seed(seed)
    labels = train.labels.numpy()
    counts = np.bincount(labels, minlength=len(names)).tolist()
    summed_loss = build_class_loss(balance, Loss(), names, counts)
    head = torch.nn.Linear(train.inputs.shape[1], len(names))
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=0.01)
    for epoch in range(epochs):
        for rows in epoch_rows(balance, names, labels, seed, epoch):
            logits = head(train.inputs[rows])
            loss = summed_loss(SimpleNamespace(logits=logits), train.labels[rows]) / len(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data_imbalanced.json")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5, help="seeds")
    arguments = parser.parse_args()
    splits, names = load_vectors(arguments.data)
    train, test = splits["train"], splits["test"]
    counts = Counter(train.labels.tolist())
    small = [label for label, rows in counts.items() if rows <= SMALL_ROWS]
    print(
        f"{len(train.labels):,} training rows, {len(names)} classes, {len(small)} of them small "
        f"({SMALL_ROWS} rows at most), {arguments.epochs} epochs, {arguments.runs} seeds"
    )
    print(f"{'method':<34}{'F1 small classes':>22}{'macro F1':>12}{'accuracy':>12}")
    for name, balance in METHODS.items():
        found = [
            judge(train_head(balance, train, names, seed, arguments.epochs), test, small)
            for seed in range(arguments.runs)
        ]
        of_small, macro, accuracy = zip(*found, strict=True)
        spread = stdev(of_small) if len(of_small) > 1 else 0.0
        print(
            f"{name:<34}{mean(of_small):>13.4f} +- {spread:.4f}{mean(macro):>12.4f}"
            f"{mean(accuracy):>12.4f}"
        )


def judge(head: torch.nn.Linear, test: Vectors, small: list[int]) -> tuple[float, float, float]:
    """Give the mean F1 of the small classes, of all classes, and the accuracy."""
    with torch.no_grad():
        predicted = head(test.inputs).argmax(-1)
    scores = f1_score(test.labels, predicted, average=None, zero_division=0.0)
    accuracy = float((predicted == test.labels).float().mean())
    return float(scores[small].mean()), float(scores.mean()), accuracy


if __name__ == "__main__":
    main()
