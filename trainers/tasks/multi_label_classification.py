"""Multi-label classification: any number of labels for each text, or pair of texts.

How texts become rows stands in texts.py, how the model is loaded in pretrained.py, what the metrics
are in label_set_scores.py.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.task_columns import Column, Columns
from configs.task_sections import MultiLabelClassification
from trainers.tasks.cell_lists import places_among, string_lists
from trainers.tasks.functions import encode_with_labels
from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting, is_target
from trainers.tasks.padded_groups import collate_in_groups
from trainers.tasks.pretrained import build_with_head
from trainers.tasks.text_classification import AUTO_MODEL, TEXT_CLASSIFICATION
from trainers.tasks.texts import encode_texts, text_columns
from trainers.tasks.tokens import shown_texts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    probabilities: "Tensor"
    """(rows, classes) fp32."""
    labels: "Tensor"
    """(rows, classes) fp32: 1 for labels that apply, 0 for others, NaN where a row has none."""


def columns(task: MultiLabelClassification) -> Columns:
    """Name the columns with the texts and the labels; a row may have no label at all."""
    return Columns(text_columns(task), Column(task.label, "labels", may_be_empty=True))


def places_of_labels(
    task: MultiLabelClassification, label_names: tuple[str, ...], cells: pa.Table
) -> pa.ChunkedArray:
    """Give the places that each row's labels have among the names, as a list.

    Raises RowError for an unknown label.
    """
    lists = string_lists(cells[task.label], between=",")
    return places_among(lists, label_names, task.label, "label")


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the binary cross entropy, computed in fp32, over rows and classes.

    Each class of each row is a target; those whose label is NaN do not count.
    """
    from torch.nn import functional

    counts = is_target(labels)
    losses = functional.binary_cross_entropy_with_logits(
        outputs.logits.float(), labels.masked_fill(~counts, 0.0), reduction="none"
    )
    # Not chosen by an index: a lane without rows must reach the model's weights as well.
    total: Tensor = (losses * counts).sum()
    return total


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the probability of each label for each row."""
    return Answer(fed.outputs.logits.detach().float().sigmoid(), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.label_set_scores import LabelSetScores

    return LabelSetScores(setting.label_names, setting.task.threshold, setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give probabilities, and 1 for labels that apply, each (rows, classes) fp32."""
    return given.probabilities.cpu().numpy(), given.labels.cpu().numpy()


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show text, labels and told labels of each row that has labels to compare with."""
    texts = shown_texts(setting, fed)
    told = _named(setting, given.probabilities >= setting.task.threshold)
    labels = _named(setting, given.labels > 0)
    return [
        Sample(texts[row], ", ".join(labels[row]), ", ".join(told[row]))
        for row in is_target(given.labels).any(1).nonzero().flatten().tolist()
    ]


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give the labels that reach the threshold, and the probabilities of all, for each row."""
    return {
        "predicted_labels": _named(setting, given.probabilities >= setting.task.threshold),
        "probabilities": given.probabilities.tolist(),
    }


def _named(setting: Setting, applies: "Tensor") -> list[list[str]]:
    """Name the labels that apply to each row, out of (rows, classes)."""
    return [
        [name for name, does in zip(setting.label_names, row, strict=True) if does]
        for row in applies.tolist()
    ]


def _labels_of(rows: pa.Table, batching: Batching) -> "Tensor":
    """Give (rows, classes) fp32: 1 for labels that apply, 0 for others, NaN where none is given."""
    import torch

    num_labels = batching.num_labels
    if "label" not in rows.column_names:
        return torch.full((len(rows), num_labels), torch.nan)
    lists = rows["label"].combine_chunks()
    counts = lists.value_lengths().to_numpy()
    labels = np.zeros((len(rows), num_labels), np.float32)
    labels[np.repeat(np.arange(len(rows)), counts), lists.flatten().to_numpy()] = 1.0
    return torch.from_numpy(labels)


MULTI_LABEL_CLASSIFICATION = replace(
    TEXT_CLASSIFICATION,
    predicted=("predicted_labels", "probabilities"),
    columns=columns,
    encode=encode_with_labels(encode_texts, places_of_labels),
    collate=collate_in_groups(_labels_of),
    build_model=build_with_head(AUTO_MODEL, "multi_label_classification"),
    summed_loss=summed_loss,
    training_loss=None,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
