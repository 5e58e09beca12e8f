"""Multi-label classification: any number of labels for each text, or pair of texts.

How the model is loaded stands in pretrained.py, what the metrics are in label_set_scores.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Column, Columns
from configs.task_sections import MultiLabelClassification
from trainers.tasks.cell_lists import places_among, string_lists
from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting, is_target
from trainers.tasks.tokens import load_processor, no_numbers, pad_tokens, shown_texts, tokenised

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss

AUTO_MODEL: str = "AutoModelForSequenceClassification"
PIPELINE: str = "text-classification"
PREDICTED: tuple[str, ...] = ("predicted_labels", "probabilities")
"""Columns that predicting adds."""
__all__ = [
    "AUTO_MODEL",
    "PIPELINE",
    "PREDICTED",
    "answer",
    "build_model",
    "build_scores",
    "collate",
    "columns",
    "encode",
    "encode_inputs",
    "load_processor",
    "numbers",
    "output_of",
    "predictions",
    "samples",
    "summed_loss",
    "training_loss",
]
numbers = no_numbers


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    probabilities: "Tensor"
    """(rows, classes) fp32."""
    labels: "Tensor"
    """(rows, classes) fp32: 1 for labels that apply, 0 for others, NaN where a row has none."""


def columns(task: MultiLabelClassification) -> Columns:
    """Name the columns with the texts and the labels; a row may have no label at all."""
    names = [name for name in (task.text, task.text_b) if name is not None]
    inputs = tuple(Column(name, "text") for name in names)
    return Columns(inputs, Column(task.label, "labels", may_be_empty=True))


def encode(
    task: MultiLabelClassification,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn text and label columns into input_ids, token_type_ids (pairs only), label and length.

    The label is the list of the places that a row's labels have among label_names. Rows longer than
    max_length tokens, or than the model can take, are cut. Raises RowError for an unknown label.
    """
    encoded = encode_inputs(task, processor, max_length, cells)
    lists = string_lists(cells[task.label], between=",")
    places = places_among(lists, label_names, task.label, "label")
    return encoded.add_column(encoded.num_columns - 1, "label", places)


def encode_inputs(
    task: MultiLabelClassification,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    cells: pa.Table,
) -> pa.Table:
    """Turn text columns into input_ids, token_type_ids (pairs only) and length."""
    return tokenised(processor, max_length, [cells[c.name] for c in columns(task).inputs])


def collate(
    task: MultiLabelClassification, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads shard rows to the longest of them.

    It returns the model's inputs, each (rows, tokens) int64, and labels (rows, classes) fp32: 1 for
    labels that apply and 0 for others, NaN where a row does not say.
    """
    return lambda rows: (pad_tokens(rows, batching), _labels_of(rows, batching.num_labels))


def build_model(
    model: Model,
    task: MultiLabelClassification,
    label_names: tuple[str, ...],
    bits: int | None = None,
) -> "tuple[PreTrainedModel, frozenset[str], frozenset[str]]":
    """Load the model with a classification head in fp32; also name the head and what of it is new.

    Raises RecipeError for a model that cannot be used as asked, CheckpointError for one whose
    weights are not whole.
    """
    from trainers.tasks.pretrained import Head, build_pretrained

    head = Head(label_names, "multi_label_classification")
    return build_pretrained(AUTO_MODEL, model, head, bits)


def output_of(outputs: Any) -> "Tensor":
    """Give the logits, (rows, classes)."""
    logits: Tensor = outputs.logits
    return logits


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


def training_loss(recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
    """Give the loss that training minimises, summed over rows and classes."""
    return summed_loss


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the probability of each label for each row."""
    return Answer(fed.outputs.logits.detach().float().sigmoid(), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.label_set_scores import LabelSetScores

    return LabelSetScores(setting.label_names, setting.task.threshold, setting.device)


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


def _labels_of(rows: pa.Table, num_labels: int) -> "Tensor":
    import torch

    if "label" not in rows.column_names:
        return torch.full((len(rows), num_labels), torch.nan)
    lists = rows["label"].combine_chunks()
    counts = lists.value_lengths().to_numpy()
    labels = np.zeros((len(rows), num_labels), np.float32)
    labels[np.repeat(np.arange(len(rows)), counts), lists.flatten().to_numpy()] = 1.0
    return torch.from_numpy(labels)
