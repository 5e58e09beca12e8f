"""Text into tokens and tokens into tensors, for every task whose model reads text."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainers.tasks.functions import Collate
from trainers.tasks.judging import Batching, Fed, Setting

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


def strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take a column as text."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def tokenised(
    processor: "PreTrainedTokenizerBase", max_length: int, texts: Sequence[pa.ChunkedArray]
) -> pa.Table:
    """Turn one text column, or a pair of them, into input_ids, token_type_ids (pairs) and length.

    Rows longer than max_length tokens, or than the model can take, are cut.
    """
    limit = min(max_length, processor.model_max_length)
    with_types = len(texts) == 2 and "token_type_ids" in processor.model_input_names
    tokens: dict[str, list[list[int]]] = {"input_ids": [], "token_type_ids": []}
    if len(texts[0]):
        tokens = processor(
            *(strings(column).to_pylist() for column in texts),
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


def token_mask(lengths: np.ndarray, batching: Batching) -> np.ndarray:
    """Say where rows of these lengths have tokens: (rows, width) of bool."""
    width = int(padded_width(lengths.max(), batching))
    return np.arange(width, dtype=lengths.dtype) < lengths[:, None]


def padded_width(longest: np.ndarray, batching: Batching) -> np.ndarray:
    """Give the tokens to which rows are padded, the longest of which has so many."""
    multiple = batching.pad_to_multiple_of
    # Rounding up must not lead past the last position the model has.
    rounded = -(-longest // multiple) * multiple
    width: np.ndarray = np.minimum(rounded, np.maximum(longest, batching.max_length))
    return width


def pad_tokens(rows: pa.Table, batching: Batching) -> "dict[str, Tensor]":
    """Pad rows to the longest; gives the model's inputs, each (rows, tokens) int64."""
    import torch

    mask = token_mask(rows["length"].to_numpy(), batching)
    inputs = {"input_ids": laid_out(rows["input_ids"], mask, batching.pad_token_id)}
    if "token_type_ids" in rows.column_names:
        inputs["token_type_ids"] = laid_out(rows["token_type_ids"], mask, 0)
    inputs["attention_mask"] = mask.astype(np.int64)
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def collate_padded(labels_of: "Callable[[pa.Table, Batching], Tensor]") -> Collate:
    """Give the function that pads shard rows to the longest of them.

    What it gives returns the model's inputs, each (rows, tokens) int64, and the rows' labels.
    """

    def collate(
        task: Any, batching: Batching
    ) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
        return lambda rows: (pad_tokens(rows, batching), labels_of(rows, batching))

    return collate


def laid_out(column: pa.ChunkedArray, mask: np.ndarray, fill: int) -> np.ndarray:
    """Lay the rows' values under the mask (rows, tokens); row after row, in order."""
    padded = np.full(mask.shape, fill, dtype=np.int64)
    # Joining chunks costs more than all else here, also where there is but one.
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    offsets = joined.offsets.to_numpy()
    padded[mask] = joined.values.to_numpy()[offsets[0] : offsets[-1]]
    return padded


def shown_texts(setting: Setting, fed: Fed) -> list[str]:
    """Give the texts that the model read, as far as they were not cut."""
    decode = setting.processor().decode
    rows = zip(fed.inputs["input_ids"], fed.inputs["attention_mask"], strict=True)
    return [str(decode(ids[mask.bool()], skip_special_tokens=True)) for ids, mask in rows]
