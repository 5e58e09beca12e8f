"""Language modelling: go on writing plain text.

One text is one row, so that each text counts once and never stands in two splits: texts are not
joined, and one that is longer than batch.max_length is cut at its end. Tools that join all texts
and cut the stream into blocks keep those ends; for that, split long texts into paragraphs
beforehand. What language models share stands in causal.py.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from configs.task_columns import Column, Columns
from configs.task_sections import LanguageModeling
from trainers.tasks.causal import (
    AUTO_MODEL,
    answer,
    as_shard,
    build_model,
    build_scores,
    collate,
    compared,
    ended,
    labelled,
    opening,
    predictions,
    samples,
    summed_loss,
    token_limit,
)
from trainers.tasks.functions import TaskFunctions
from trainers.tasks.refusals import RowError
from trainers.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def columns(task: LanguageModeling) -> Columns:
    """Name the column with the text, which is also what is learnt."""
    return Columns((Column(task.text, "text"),), None)


def encode(
    task: LanguageModeling,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn texts into input_ids, label and length; an end token follows each text.

    Every token but the first is a target. Texts longer than max_length tokens, or than the model
    can take, are cut at the end. Raises RowError for a text that leaves nothing to predict.
    """
    limit = token_limit(processor, max_length)
    made = opening(processor, cells[task.text].to_pylist())
    rows = [ended(processor, ids)[:limit] for ids in made]
    for index, ids in enumerate(rows):
        if len(ids) < 2:
            raise RowError(
                index,
                f"{len(ids)} tokens leave nothing to predict. Drop the row"
                + (", or raise batch.max_length" if limit < 2 else ""),
            )
    return as_shard(rows, [labelled(ids, [True] * len(ids)) for ids in rows])


def encode_inputs(
    task: LanguageModeling, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn texts that are to be gone on with into input_ids and length.

    Of longer ones the last max_length tokens are kept: those are what is gone on from. Raises
    RowError for a text of no tokens where the tokenizer has none to begin with.
    """
    limit = token_limit(processor, max_length)
    made = opening(processor, cells[task.text].to_pylist())
    start = processor.bos_token_id
    start = processor.eos_token_id if start is None else start
    for index, ids in enumerate(made):
        if not ids and start is None:
            raise RowError(
                index,
                "the text has no tokens, and the tokenizer none to begin with. Write one, or drop "
                "the row",
            )
    return as_shard([(ids or [start])[-limit:] for ids in made])


LANGUAGE_MODELING = TaskFunctions(
    auto_model=AUTO_MODEL,
    pipeline="text-generation",
    predicted=("prediction",),
    columns=columns,
    load_processor=load_tokenizer,
    encode=encode,
    encode_inputs=encode_inputs,
    collate=collate,
    build_model=build_model,
    summed_loss=summed_loss,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
