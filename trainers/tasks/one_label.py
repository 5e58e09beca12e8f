"""One label a row, whatever the row shows: loss, answers, metrics and predictions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError
from configs.schema import Recipe
from configs.task_sections import ImageClassification, TextClassification
from trainers.tasks.judging import IGNORED, Batching, Fed, Sample, Scores, Setting
from trainers.tasks.tokens import strings

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss

PREDICTED: tuple[str, ...] = ("predicted_label", "probability", "probabilities")
"""Columns that predicting adds."""


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    probabilities: "Tensor"
    """(rows, classes) fp32."""
    labels: "Tensor"
    """(rows,) int64."""


def label_numbers(
    task: TextClassification | ImageClassification, label_names: tuple[str, ...], cells: pa.Table
) -> pa.ChunkedArray:
    """Give the place of each label among the names; raises DataError for one that is not there."""
    labels = strings(cells[task.label])
    numbers = pc.index_in(labels, value_set=pa.array(label_names, pa.string()))
    if numbers.null_count:
        unknown = pc.unique(labels.filter(pc.is_null(numbers))).to_pylist()
        raise DataError(
            f"label {unknown[0]!r} in column {task.label} is none of {len(label_names)} labels. "
            "Add it to task.labels, or rows with it to the training data"
        )
    return numbers


def labels_of(rows: pa.Table, _: Batching) -> "Tensor":
    """Give the labels of shard rows, (rows,) int64; -100 where they have none."""
    import torch

    if "label" not in rows.column_names:
        return torch.full((len(rows),), IGNORED)
    return torch.from_numpy(rows["label"].to_numpy().astype(np.int64))


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the cross entropy, computed in fp32, over the rows whose label is not -100."""
    from torch.nn import functional

    return functional.cross_entropy(
        outputs.logits.float(), labels, reduction="sum", ignore_index=IGNORED
    )


def training_loss(recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
    """Give the loss that training minimises, summed over the rows whose label is not -100."""
    if recipe.balance.method == "none" and recipe.loss.label_smoothing == 0:
        return summed_loss
    from trainers.losses import build_class_loss

    counts = manifest.splits["train"].class_counts
    return build_class_loss(recipe.balance, recipe.loss, manifest.label_names, counts)


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the probability of each class for each row."""
    return Answer(fed.outputs.logits.detach().float().softmax(-1), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.metrics import ClassScores

    return ClassScores(setting.label_names, setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give probabilities (rows, classes) fp32, and places of labels among the names (rows,)."""
    return given.probabilities.cpu().numpy(), given.labels.cpu().numpy()


def judged(
    setting: Setting,
    given: Answer,
    texts: list[str] | None = None,
    pictures: np.ndarray | None = None,
) -> list[Sample]:
    """Show label and most probable label of each row whose label is not -100.

    With its text, or its picture out of (rows, height, width, channels) uint8.
    """
    best, predicted = given.probabilities.max(-1)
    return [
        Sample(
            text=texts[row] if texts is not None else "",
            picture=pictures[row] if pictures is not None else None,
            label=setting.label_names[int(given.labels[row])],
            prediction=setting.label_names[int(predicted[row])],
            probability=float(best[row]),
        )
        for row in (given.labels != IGNORED).nonzero().flatten().tolist()
    ]


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give label, its probability, and the probabilities of all labels, for each row."""
    best, predicted = given.probabilities.max(-1)
    return {
        "predicted_label": [setting.label_names[number] for number in predicted.tolist()],
        "probability": best.tolist(),
        "probabilities": given.probabilities.tolist(),
    }
