"""Text classification: one label for each text, or pair of texts.

How the model is loaded stands in pretrained.py, what the metrics are in trainers/metrics.py. Torch
and transformers are imported where they are used: naming the columns of a task costs nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import TextClassification
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.one_label import (
    PREDICTED,
    Answer,
    answer,
    build_scores,
    judged,
    label_numbers,
    labels_of,
    output_of,
    predictions,
    summed_loss,
    training_loss,
)
from trainers.tasks.tokens import no_numbers, pad_tokens, shown_texts, tokenised

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AUTO_MODEL: str = "AutoModelForSequenceClassification"
PIPELINE: str = "text-classification"
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


def columns(task: TextClassification) -> Columns:
    """Name the columns with the texts and the label."""
    names = [name for name in (task.text, task.text_b) if name is not None]
    inputs = tuple(Column(name, "text") for name in names)
    return Columns(inputs, Column(task.label, "label"))


def load_processor(model: Model) -> "PreTrainedTokenizerBase":
    """Load the model's tokenizer, with a padding token and the length the model can take.

    Raises RecipeError when there is no model or no tokenizer.
    """
    from trainers.tasks.pretrained import load_tokenizer

    return load_tokenizer(model)


def encode(
    task: TextClassification,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn text and label columns into input_ids, token_type_ids (pairs only), label and length.

    Rows longer than max_length tokens, or than the model can take, are cut. Raises DataError for a
    label that is not among label_names.
    """
    encoded = encode_inputs(task, processor, max_length, cells)
    numbers = label_numbers(cells, task.label, label_names)
    return encoded.add_column(encoded.num_columns - 1, "label", numbers)


def encode_inputs(
    task: TextClassification, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn text columns into input_ids, token_type_ids (pairs only) and length."""
    return tokenised(processor, max_length, [cells[c.name] for c in columns(task).inputs])


def collate(
    task: TextClassification, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads shard rows to the longest of them.

    It returns the model's inputs, each (rows, tokens) int64, and labels (rows,) int64, -100 where a
    row has none.
    """
    return lambda rows: (pad_tokens(rows, batching), labels_of(rows))


def build_model(
    model: Model, task: TextClassification, label_names: tuple[str, ...], bits: int | None = None
) -> "tuple[PreTrainedModel, frozenset[str], frozenset[str]]":
    """Load the model with a classification head in fp32; also name the head and what of it is new.

    Nothing is new where the head came with the model. Raises RecipeError for a model that cannot be
    used as asked, CheckpointError for one whose weights are not whole.
    """
    from trainers.tasks.pretrained import Head, build_pretrained

    return build_pretrained(AUTO_MODEL, model, Head(label_names), bits)


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show text, label and most probable label of each row whose label is not -100."""
    return judged(setting, given, shown_texts(setting, fed))
