"""What passes between a task and those who feed its model, judge it and show what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.tasks.generation import Writer

IGNORED = -100
"""Stands for a target that does not count; among numbers with a fraction NaN does."""


@dataclass(frozen=True)
class Batching:
    """What turning shard rows into tensors depends on besides the rows."""

    pad_token_id: int
    max_length: int
    """Most tokens of a row."""
    pad_to_multiple_of: int
    num_labels: int
    packing: bool = False
    """Whether the rows are laid one behind the other in one sequence."""
    numbers: dict[str, int] = field(default_factory=dict)
    """What the task's `numbers` gave when the rows were prepared."""


@dataclass(frozen=True)
class Setting:
    """What a task must know, besides a microbatch, to judge what the model says."""

    task: Any
    """The recipe's section of the task."""
    label_names: tuple[str, ...]
    device: Any
    """The torch device of the model."""
    processor: Callable[[], Any]
    """Gives what the task's `load_processor` gave, loaded at first use."""
    generate: "Writer | None" = None
    """Writes text for model inputs; None for a task that writes none."""


@dataclass(frozen=True)
class Fed:
    """A microbatch, and what the model gave for it."""

    inputs: "dict[str, Tensor]"
    labels: "Tensor"
    """On the model's device."""
    outputs: Any
    written: "Tensor | None" = None
    """Which rows text is to be written for, (rows,) of bool on the host; None for none anywhere."""


@dataclass(frozen=True)
class Sample:
    """What the model said about one row."""

    text: str
    label: str
    prediction: str
    probability: float | None = None
    """Probability of the prediction, where the task knows one."""
    picture: np.ndarray | None = None
    """(height, width, channels) uint8, where the row shows one instead of text."""


@dataclass(frozen=True)
class Scored:
    """How well a split was told."""

    metrics: dict[str, float]
    """By name; NaN for one that is undefined over these rows."""
    label_names: tuple[str, ...] = ()
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    """Label name to precision, recall, f1 and support (rows with that label)."""
    confusion: np.ndarray | None = None
    """Rows by label and prediction: (classes, classes) int64."""
    pr_counts: np.ndarray | None = None
    """Rows by threshold, class, whether it is that class, whether its probability reaches the
    threshold: (thresholds, classes, 2, 2) int64; the thresholds divide [0, 1] evenly."""
    remarks: tuple[str, ...] = ()
    """Sentences on what a metric leaves out, or why one is undefined."""


class Scores(Protocol):
    """What is known of the rows seen so far, on one rank."""

    def update(self, answer: Any, counted: "Tensor") -> None:
        """Take in an answer of the task, but for the rows where `counted`, (rows,), is False."""

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""


def logits_of(outputs: Any) -> "Tensor":
    """Give the logits of a model's outputs, as its head shapes them."""
    logits: Tensor = outputs.logits
    return logits


def objects(values: Sequence[Any]) -> np.ndarray:
    """Give an array of Python objects, (rows,), whatever their own lengths are."""
    made = np.empty(len(values), object)
    for place, value in enumerate(values):
        made[place] = value
    return made


def is_target(labels: "Tensor") -> "Tensor":
    """Say which labels count in the loss: those that are neither IGNORED nor NaN."""
    return ~labels.isnan() if labels.is_floating_point() else labels != IGNORED


def count_targets(labels: "Tensor") -> int:
    """Count the labels that count in the loss; faster for few of them than torch counts."""
    values = labels.numpy()
    if labels.is_floating_point():
        return int(values.size - np.count_nonzero(np.isnan(values)))
    return int(np.count_nonzero(values != IGNORED))
