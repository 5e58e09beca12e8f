"""Token classification: a tag for each word of a text, such as B-PER, I-PER and O.

The first token of a word carries its tag; the other tokens, and those that the tokenizer adds, do
not count. Words that do not fit into the model count neither in training nor in evaluation, as in
the field's own scripts. How tags are scored stands in tag_scores.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import TokenClassification
from trainers.tasks.cell_lists import places_among, string_lists
from trainers.tasks.functions import TaskFunctions
from trainers.tasks.judging import IGNORED, Batching, Fed, Sample, Scores, Setting, objects
from trainers.tasks.pretrained import build_with_head
from trainers.tasks.refusals import RowError
from trainers.tasks.tokenizer import load_tokenizer
from trainers.tasks.tokens import collate_padded, laid_out, token_mask

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

AUTO_MODEL = "AutoModelForTokenClassification"


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    predicted: "Tensor"
    """Likeliest tag of each token: (rows, tokens) int64."""
    labels: "Tensor"
    """As `_labels_of` gives them."""


def columns(task: TokenClassification) -> Columns:
    """Name the columns with the words and the tags."""
    return Columns((Column(task.tokens, "words"),), Column(task.tags, "tags"))


def load_processor(model: Model) -> "PreTrainedTokenizerBase":
    """Load the model's tokenizer, with a padding token and the length the model can take.

    Raises RecipeError when there is none, or none that says which word a token is of.
    """
    tokenizer = load_tokenizer(model, split_words=True)
    if not tokenizer.is_fast:
        raise RecipeError(
            f"the tokenizer of {model.path} does not say which word a token is of. Use a model "
            "with a fast tokenizer (tokenizer.json)"
        )
    return tokenizer


def encode(
    task: TokenClassification,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn words and tags into input_ids, label and length; the label is a list, one a token.

    Rows longer than max_length tokens, or than the model can take, are cut. Raises RowError for
    tags of another number than words, and for an unknown tag.
    """
    words, tags = string_lists(cells[task.tokens]), string_lists(cells[task.tags])
    for row, (some, others) in enumerate(zip(words, tags, strict=True)):
        if len(some) != len(others):
            raise RowError(
                row,
                f"column {task.tokens} has {len(some)} words and column {task.tags} "
                f"{len(others)} tags. Give each word one tag",
            )
    places = places_among(tags, label_names, task.tags, "tag").to_pylist()
    encoded, firsts = _tokenised(processor, max_length, words)
    labels = [
        [of_row[word] if word >= 0 else IGNORED for word in row]
        for row, of_row in zip(firsts, places, strict=True)
    ]
    return encoded.add_column(1, "label", pa.array(labels, pa.list_(pa.int32())))


def encode_inputs(
    task: TokenClassification,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    cells: pa.Table,
) -> pa.Table:
    """Turn words into input_ids, word, num_words and length.

    `word` says of each token which word it is the first of, -100 for the others.
    """
    words = string_lists(cells[task.tokens])
    encoded, firsts = _tokenised(processor, max_length, words)
    counts = pa.array([len(row) for row in words], pa.int32())
    encoded = encoded.add_column(1, "word", pa.array(firsts, pa.list_(pa.int32())))
    return encoded.add_column(2, "num_words", counts)


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the cross entropy, computed in fp32, over the tokens whose label is not -100."""
    from torch.nn import functional

    return functional.cross_entropy(
        outputs.logits.float().flatten(0, 1),
        labels.flatten(),
        reduction="sum",
        ignore_index=IGNORED,
    )


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the likeliest tag of each token."""
    return Answer(fed.outputs.logits.detach().argmax(-1), fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.tag_scores import TagScores

    return TagScores(setting.label_names, setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give the tags told and the right ones of each row, a list of names a row."""
    names, rows = setting.label_names, zip(given.predicted, given.labels, strict=True)
    told, right = [], []
    for said, labels in rows:
        tagged = labels != IGNORED
        told.append([names[place] for place in said[tagged].tolist()])
        right.append([names[place] for place in labels[tagged].tolist()])
    return objects(told), objects(right)


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show words, tags and told tags of each row that has tags to compare with."""
    found = []
    decode, names = setting.processor().decode, setting.label_names
    for row in (given.labels != IGNORED).any(1).nonzero().flatten().tolist():
        tagged = given.labels[row] != IGNORED
        ids = fed.inputs["input_ids"][row][fed.inputs["attention_mask"][row].bool()]
        label, told = (part[row][tagged].tolist() for part in (given.labels, given.predicted))
        tags, said = (" ".join(names[place] for place in places) for places in (label, told))
        found.append(Sample(str(decode(ids, skip_special_tokens=True)), tags, said))
    return found


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give the tags of each row, one a word; None for words that the model did not see."""
    rows = []
    for firsts, predicted in zip(given.labels.tolist(), given.predicted.tolist(), strict=True):
        tags: list[str | None] = [None] * firsts[0][1]
        for (word, _), place in zip(firsts, predicted, strict=True):
            if word != IGNORED:
                tags[word] = setting.label_names[place]
        rows.append(tags)
    return {"predicted_tags": rows}


def _tokenised(
    processor: "PreTrainedTokenizerBase", max_length: int, words: list[list[str]]
) -> tuple[pa.Table, list[list[int]]]:
    """Give input_ids and length; also, of each token, the word that it is the first of, or -100."""
    ids, firsts = [], []
    if words:
        encoded = processor(
            words,
            is_split_into_words=True,
            truncation=True,
            max_length=min(max_length, processor.model_max_length),
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        for row, tokens in enumerate(encoded["input_ids"]):
            of_tokens = encoded.word_ids(row)
            before = [None, *of_tokens[:-1]]
            begins = [
                word if word is not None and word != last else IGNORED
                for word, last in zip(of_tokens, before, strict=True)
            ]
            ids.append(tokens or [processor.pad_token_id])
            firsts.append(begins or [IGNORED])
    table = {"input_ids": pa.array(ids, pa.list_(pa.int32()))}
    table["length"] = pa.array([len(row) for row in ids], pa.int32())
    return pa.table(table), firsts


def _labels_of(rows: pa.Table, batching: Batching) -> "Tensor":
    """Give labels (rows, tokens) int64, -100 for tokens without tag.

    Of rows without tags, (rows, tokens, 2): which word a token is the first of, -100 for the
    others, and how many words its row has.
    """
    import torch

    mask = token_mask(rows["length"].to_numpy(), batching)
    if "label" in rows.column_names:
        return torch.from_numpy(laid_out(rows["label"], mask, IGNORED))
    counts = rows["num_words"].to_numpy().astype(np.int64)[:, None]
    words = laid_out(rows["word"], mask, IGNORED)
    return torch.from_numpy(np.stack([words, np.broadcast_to(counts, mask.shape)], -1))


TOKEN_CLASSIFICATION = TaskFunctions(
    auto_model=AUTO_MODEL,
    pipeline="token-classification",
    predicted=("predicted_tags",),
    columns=columns,
    load_processor=load_processor,
    encode=encode,
    encode_inputs=encode_inputs,
    collate=collate_padded(_labels_of),
    build_model=build_with_head(AUTO_MODEL),
    summed_loss=summed_loss,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
