"""Text classification: columns to tokens, tokens to tensors, the loss and what a prediction says.

How the model is loaded stands in classifier.py, what the metrics are in trainers/metrics.py. Torch
and transformers are imported where they are used: naming the columns of a task costs nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.data_sections import Task
from configs.errors import DataError
from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Column, Columns

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.data.store import Manifest
    from trainers.metrics import Sample, Scores
    from trainers.step import SummedLoss

IGNORED = -100


def columns(task: Task) -> Columns:
    """Name the columns with the texts and the label."""
    names = [name for name in (task.text, task.text_b) if name is not None]
    inputs = tuple(Column(name, "text") for name in names)
    return Columns(inputs, Column(task.label, "label"))


def load_processor(model: Model) -> "PreTrainedTokenizerBase":
    """Load the model's tokenizer, with a padding token and the length the model can take.

    Raises RecipeError when there is no model or no tokenizer.
    """
    from trainers.tasks.classifier import load_tokenizer

    return load_tokenizer(model)


def encode(
    task: Task,
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
    numbers = _label_numbers(task, label_names, cells[task.label])
    return encoded.add_column(encoded.num_columns - 1, "label", numbers)


def encode_inputs(
    task: Task, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn text columns into input_ids, token_type_ids (pairs only) and length."""
    texts = [_strings(cells[column.name]).to_pylist() for column in columns(task).inputs]
    limit = min(max_length, processor.model_max_length)
    with_types = len(texts) == 2 and "token_type_ids" in processor.model_input_names
    tokens: dict[str, list[list[int]]] = {"input_ids": [], "token_type_ids": []}
    if cells.num_rows:
        tokens = processor(
            *texts,
            truncation=True,
            max_length=limit,
            return_attention_mask=False,
            return_token_type_ids=with_types,
        ).data
    # An empty text has no token at all where the tokenizer adds none (GPT-2): one keeps it a row.
    ids = [row or [processor.pad_token_id] for row in tokens["input_ids"]]
    encoded = {"input_ids": pa.array(ids, pa.list_(pa.int32()))}
    if with_types:
        types = [row or [0] for row in tokens["token_type_ids"]]
        encoded["token_type_ids"] = pa.array(types, pa.list_(pa.int8()))
    encoded["length"] = pc.list_value_length(encoded["input_ids"])
    return pa.table(encoded)


def collate(
    manifest: "Manifest", pad_to_multiple_of: int
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads shard rows to the longest of them.

    It returns the model's inputs, each (rows, tokens) int64, and labels (rows,) int64.
    """
    return collate_to(manifest.pad_token_id, manifest.max_length, pad_to_multiple_of)


def collate_to(
    pad_token_id: int, max_length: int, pad_to_multiple_of: int
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that `collate` gives, without a manifest; rows without label get -100."""
    import torch

    def pad(rows: pa.Table) -> "tuple[dict[str, Tensor], Tensor]":
        lengths = rows["length"].to_numpy()
        longest = int(lengths.max())
        # Rounding up must not lead past the last position the model has.
        width = min(
            -(-longest // pad_to_multiple_of) * pad_to_multiple_of, max(longest, max_length)
        )
        mask = np.arange(width, dtype=lengths.dtype) < lengths[:, None]  # (rows, tokens)
        inputs = {"input_ids": _padded(rows["input_ids"], mask, pad_token_id)}
        if "token_type_ids" in rows.column_names:
            inputs["token_type_ids"] = _padded(rows["token_type_ids"], mask, 0)
        inputs["attention_mask"] = mask.astype(np.int64)
        labels = np.full(len(lengths), IGNORED, np.int64)
        if "label" in rows.column_names:
            labels = rows["label"].to_numpy().astype(np.int64)
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        return tensors, torch.from_numpy(labels)

    return pad


def build_model(
    model: Model, task: Task, label_names: tuple[str, ...], bits: int | None = None
) -> "tuple[PreTrainedModel, frozenset[str], frozenset[str]]":
    """Load the model with a classification head in fp32; also name the head and what of it is new.

    Nothing is new where the head came with the model. Raises RecipeError for a model that cannot be
    used as asked, CheckpointError for one whose weights are not whole.
    """
    from trainers.tasks.classifier import build_classifier

    return build_classifier(model, label_names, bits)


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


def build_scores(label_names: tuple[str, ...], device: "torch.device | str") -> "Scores":
    """Make the state from which the metrics of a split are computed."""
    from trainers.metrics import Scores

    return Scores(label_names, device)


def sample_predictions(
    tokenizer: "PreTrainedTokenizerBase",
    label_names: tuple[str, ...],
    inputs: "dict[str, Tensor]",
    outputs: Any,
    labels: "Tensor",
) -> "list[Sample]":
    """Show text, label and most probable label of each row whose label is not -100."""
    from trainers.metrics import Sample

    probabilities = outputs.logits.detach().float().softmax(-1)  # (rows, classes)
    best, predicted = probabilities.max(-1)
    samples = []
    for row in (labels != IGNORED).nonzero().flatten().tolist():
        ids = inputs["input_ids"][row][inputs["attention_mask"][row].bool()]
        samples.append(
            Sample(
                text=str(tokenizer.decode(ids, skip_special_tokens=True)),
                label=label_names[int(labels[row])],
                prediction=label_names[int(predicted[row])],
                probability=float(best[row]),
            )
        )
    return samples


def _strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _label_numbers(
    task: Task, label_names: tuple[str, ...], column: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Give the place of each label among the names."""
    labels = _strings(column)
    numbers = pc.index_in(labels, value_set=pa.array(label_names, pa.string()))
    if numbers.null_count:
        unknown = pc.unique(labels.filter(pc.is_null(numbers))).to_pylist()
        raise DataError(
            f"label {unknown[0]!r} in column {task.label} is none of {len(label_names)} labels. "
            "Add it to task.labels, or rows with it to the training data"
        )
    return numbers


def _padded(column: pa.ChunkedArray, mask: np.ndarray, fill: int) -> np.ndarray:
    """Lay the rows' values under the mask (rows, tokens); row after row, in order."""
    padded = np.full(mask.shape, fill, dtype=np.int64)
    # Joining chunks costs more than all else here, also where there is but one.
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    offsets = joined.offsets.to_numpy()
    padded[mask] = joined.values.to_numpy()[offsets[0] : offsets[-1]]
    return padded
