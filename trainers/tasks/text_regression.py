"""Text regression: one number for each text, or pair of texts.

How texts become rows stands in texts.py, how the model is loaded in pretrained.py, what the metrics
are in number_scores.py. The value is told as it stands: bring it to about -1 to 1 where the model
is slow to find its size.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import TextRegression
from trainers.tasks.cell_lists import finite_numbers
from trainers.tasks.functions import Built, encode_with_labels
from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting, is_target
from trainers.tasks.padded_groups import collate_in_groups
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.text_classification import AUTO_MODEL, TEXT_CLASSIFICATION
from trainers.tasks.texts import encode_texts, text_columns
from trainers.tasks.tokens import shown_texts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    values: "Tensor"
    """(rows,) fp32."""
    labels: "Tensor"
    """(rows,) fp32; NaN where a row has no value."""


def columns(task: TextRegression) -> Columns:
    """Name the columns with the texts and the number."""
    return Columns(text_columns(task), Column(task.value, "number"))


def values_of_cells(
    task: TextRegression, label_names: tuple[str, ...], cells: pa.Table
) -> pa.ChunkedArray:
    """Give the value of each row as float32; raises RowError for one that is no finite number."""
    return finite_numbers(cells[task.value], task.value)


def build_model(
    model: Model, task: TextRegression, label_names: tuple[str, ...], bits: int | None = None
) -> Built:
    """Load the model with a head of one output in fp32; also name the head and what of it is new.

    Raises RecipeError for a model that cannot be used as asked, or whose
    weights are not whole.
    """
    return build_pretrained(AUTO_MODEL, model, Head((task.value,), "regression"), bits)


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the squared error, computed in fp32, over the rows whose label is not NaN."""
    counts = is_target(labels)
    error = outputs.logits[:, 0].float() - labels.masked_fill(~counts, 0.0)
    # Not chosen by an index: a lane without rows must reach the model's weights as well.
    total: Tensor = (error.square() * counts).sum()
    return total


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the value of each row."""
    return Answer(fed.outputs.logits.detach()[:, 0].float(), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.number_scores import NumberScores

    return NumberScores(setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give the values that were told and the right ones, each (rows,) fp32."""
    return given.values.cpu().numpy(), given.labels.cpu().numpy()


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


def _values_of(rows: pa.Table, _: Batching) -> "Tensor":
    """Give (rows,) fp32, NaN where a row has none."""
    import torch

    if "label" not in rows.column_names:
        return torch.full((len(rows),), torch.nan)
    return torch.from_numpy(rows["label"].to_numpy().astype(np.float32))


TEXT_REGRESSION = replace(
    TEXT_CLASSIFICATION,
    predicted=("predicted_value",),
    columns=columns,
    encode=encode_with_labels(encode_texts, values_of_cells),
    collate=collate_in_groups(_values_of),
    build_model=build_model,
    summed_loss=summed_loss,
    training_loss=None,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
