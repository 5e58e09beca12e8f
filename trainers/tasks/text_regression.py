"""Text regression: one number for each text, or pair of texts.

How the model is loaded stands in pretrained.py, what the metrics are in number_scores.py. The value
is told as it stands: bring it to about -1 to 1 where the model is slow to find its size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Column, Columns
from configs.task_sections import TextRegression
from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting, is_target
from trainers.tasks.tokens import load_processor, no_numbers, pad_tokens, shown_texts, tokenised

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss

AUTO_MODEL: str = "AutoModelForSequenceClassification"
PIPELINE: str = "text-classification"
PREDICTED: tuple[str, ...] = ("predicted_value",)
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

    values: "Tensor"
    """(rows,) fp32."""
    labels: "Tensor"
    """(rows,) fp32; NaN where a row has no value."""


def columns(task: TextRegression) -> Columns:
    """Name the columns with the texts and the number."""
    names = [name for name in (task.text, task.text_b) if name is not None]
    inputs = tuple(Column(name, "text") for name in names)
    return Columns(inputs, Column(task.value, "number"))


def encode(
    task: TextRegression,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn text and value columns into input_ids, token_type_ids (pairs only), label and length.

    Rows longer than max_length tokens, or than the model can take, are cut. Raises RowError for a
    value that is no finite number.
    """
    from trainers.tasks.cell_lists import finite_numbers

    encoded = encode_inputs(task, processor, max_length, cells)
    values = finite_numbers(cells[task.value], task.value)
    return encoded.add_column(encoded.num_columns - 1, "label", values)


def encode_inputs(
    task: TextRegression, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn text columns into input_ids, token_type_ids (pairs only) and length."""
    return tokenised(processor, max_length, [cells[c.name] for c in columns(task).inputs])


def collate(
    task: TextRegression, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads shard rows to the longest of them.

    It returns the model's inputs, each (rows, tokens) int64, and labels (rows,) fp32, NaN where a
    row has none.
    """
    return lambda rows: (pad_tokens(rows, batching), _values_of(rows))


def build_model(
    model: Model, task: TextRegression, label_names: tuple[str, ...], bits: int | None = None
) -> "tuple[PreTrainedModel, frozenset[str], frozenset[str]]":
    """Load the model with a head of one output in fp32; also name the head and what of it is new.

    Raises RecipeError for a model that cannot be used as asked, CheckpointError for one whose
    weights are not whole.
    """
    from trainers.tasks.pretrained import Head, build_pretrained

    return build_pretrained(AUTO_MODEL, model, Head((task.value,), "regression"), bits)


def output_of(outputs: Any) -> "Tensor":
    """Give the values, (rows, 1)."""
    logits: Tensor = outputs.logits
    return logits


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the squared error, computed in fp32, over the rows whose label is not NaN."""
    counts = is_target(labels)
    error = outputs.logits[:, 0].float() - labels.masked_fill(~counts, 0.0)
    # Not chosen by an index: a lane without rows must reach the model's weights as well.
    total: Tensor = (error.square() * counts).sum()
    return total


def training_loss(recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
    """Give the loss that training minimises, summed over the rows whose label is not NaN."""
    return summed_loss


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the value of each row."""
    return Answer(fed.outputs.logits.detach()[:, 0].float(), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.number_scores import NumberScores

    return NumberScores(setting.device)


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show text, value and what the model says of each row whose label is not NaN."""
    texts = shown_texts(setting, fed)
    return [
        Sample(texts[row], f"{float(given.labels[row]):.6g}", f"{float(given.values[row]):.6g}")
        for row in is_target(given.labels).nonzero().flatten().tolist()
    ]


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give the value that the model says, for each row."""
    return {"predicted_value": given.values.tolist()}


def _values_of(rows: pa.Table) -> "Tensor":
    import torch

    if "label" not in rows.column_names:
        return torch.full((len(rows),), torch.nan)
    return torch.from_numpy(rows["label"].to_numpy().astype(np.float32))
