"""What a task is: the functions that make rows, a model, a loss and answers of it.

Which functions those are stands in one file a task; what several tasks share, in files beside them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Columns
from trainers.tasks.judging import logits_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor
    from transformers import PreTrainedModel

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss
    from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting

LabelNames = tuple[str, ...]
Encode = Callable[[Any, Any, int, LabelNames, "pa.Table"], "pa.Table"]
"""(task, processor, max_length, label_names, cells) -> shard columns"""
EncodeInputs = Callable[[Any, Any, int, "pa.Table"], "pa.Table"]
"""(task, processor, max_length, cells) -> shard columns"""
LabelsOfCells = Callable[[Any, LabelNames, "pa.Table"], "pa.ChunkedArray"]
"""(task, label_names, cells) -> one label a row"""
Collate = Callable[[Any, "Batching"], "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]"]
"""(task, batching) -> (shard rows -> model inputs, labels)"""
Built = tuple["PreTrainedModel", frozenset[str], frozenset[str]]
"""A model, the names of its head's parameters, and of those parameters that are new."""
BuildModel = Callable[[Model, Any, LabelNames, int | None], Built]
"""(model, task, label_names, bits) -> the model"""


def no_numbers(model: Model, processor: Any) -> dict[str, int]:
    """Give nothing: batches need the rows alone."""
    return {}


@dataclass(frozen=True, kw_only=True)
class TaskFunctions:
    """All that one task does; those who train, judge and predict know no more of it."""

    auto_model: str
    """Name of the class of transformers that loads a model with the head of this task."""
    pipeline: str | None
    """Name of the pipeline of transformers that uses the exported model; None where none does."""
    hub_task: str | None = None
    """What the hub calls the task; None for the name of the pipeline."""
    predicted: tuple[str, ...]
    """Columns that predicting adds."""
    columns: Callable[[Any], Columns]
    """(task): name the columns that are read, and say what their cells hold."""
    load_processor: Callable[[Model], Any]
    """(model): load what turns cells into numbers: the tokenizer, for text.

    It knows `model_max_length` and `pad_token_id`, and can `save_pretrained`.
    """
    numbers: Callable[[Model, Any], dict[str, int]] = no_numbers
    """(model, processor): give what batches must know besides the rows, such as the start token of
    a decoder."""
    pixels: Callable[[Any, dict[str, int]], tuple[int, int, int]] | None = None
    """(task, numbers): give channels, height and width of a row; None where rows are tokens."""
    encode: Encode
    """Turn raw columns into the columns of a shard; raises RowError for one that it refuses."""
    encode_inputs: EncodeInputs
    """Turn raw input columns, without a target, into those of a shard."""
    collate: Collate
    """Give the function that turns shard rows into the model's inputs and labels."""
    build_model: BuildModel
    """Load the model; also name the parameters of its head, and those of them that are new.

    With 4 `bits` the linear modules of its blocks are loaded in them.
    """
    output_of: "Callable[[Any], Tensor]" = logits_of
    """(outputs): give, of what the model returns, the tensor that the task goes by."""
    summed_loss: "SummedLoss"
    """(outputs, labels): sum the loss over the targets."""
    training_loss: "Callable[[Recipe, Manifest], SummedLoss] | None" = None
    """(recipe, manifest): give the loss that training minimises, summed over the targets; None for
    `summed_loss`, whatever the recipe."""
    answer: "Callable[[Setting, Fed], Any]"
    """Work out what the model says about the rows. Collective under ZeRO-3."""
    build_scores: "Callable[[Setting], Scores]"
    """Make the state from which the metrics of a split are computed, out of answers."""
    compared: "Callable[[Setting, Any], tuple[np.ndarray, np.ndarray]]"
    """(setting, answer): give what was said of each row and what is right, for a person's own
    metrics: (rows, ...) each. In an array of objects None stands where nothing was said."""
    samples: "Callable[[Setting, Fed, Any], list[Sample]]"
    """(setting, fed, answer): show the answer about each row that has a target."""
    predictions: "Callable[[Setting, Any], dict[str, list[Any]]]"
    """(setting, answer): give the columns that predicting adds."""


def encode_with_labels(encode_inputs: EncodeInputs, labels: LabelsOfCells) -> Encode:
    """Give the function that encodes inputs and puts the column `label` before their length.

    It raises what `labels` raises for a label that the task does not take.
    """

    def encode(
        task: Any, processor: Any, max_length: int, label_names: LabelNames, cells: "pa.Table"
    ) -> "pa.Table":
        encoded = encode_inputs(task, processor, max_length, cells)
        found = labels(task, label_names, cells)
        return encoded.add_column(encoded.num_columns - 1, "label", found)

    return encode
