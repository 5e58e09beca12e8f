"""What tasks share that read one text, or a pair of texts: their columns and rows of tokens."""

from typing import TYPE_CHECKING

import pyarrow as pa

from configs.task_columns import Column
from configs.task_sections import MultiLabelClassification, TextClassification, TextRegression
from trainers.tasks.tokens import tokenised

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OfTexts = TextClassification | MultiLabelClassification | TextRegression


def text_columns(task: OfTexts) -> tuple[Column, ...]:
    """Name the columns with the texts."""
    names = [name for name in (task.text, task.text_b) if name is not None]
    return tuple(Column(name, "text") for name in names)


def encode_texts(
    task: OfTexts, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn text columns into input_ids, token_type_ids (pairs only) and length.

    Rows longer than max_length tokens, or than the model can take, are cut.
    """
    return tokenised(processor, max_length, [cells[c.name] for c in text_columns(task)])
