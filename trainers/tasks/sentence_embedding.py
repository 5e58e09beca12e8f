"""Sentence embeddings: a vector for each text, near to those of texts that mean the same.

The vector is the mean of the last hidden states of a text's tokens, brought to length 1, or what a
folder of sentence-transformers says (sentence_folder.py). All texts
of a microbatch go through the model at once: anchors, then positives, then negatives. Without a
score the loss is that of Henderson et al. 2017 (https://arxiv.org/abs/1705.00652): each anchor is
to find its positive among all texts of its microbatch that are not anchors. A microbatch is a
lane's, so it does not depend on the number of ranks; one of a single row without negative has no
other text to tell apart, and a loss of 0. How vectors are judged stands in retrieval_scores.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import SentenceEmbedding
from trainers.tasks.cell_lists import finite_numbers
from trainers.tasks.functions import Built, TaskFunctions
from trainers.tasks.judging import IGNORED, Batching, Fed, Sample, Scores, Setting, is_target
from trainers.tasks.pretrained import build_pretrained
from trainers.tasks.refusals import RowError
from trainers.tasks.remarks import remark
from trainers.tasks.sentence_folder import (
    Vectors,
    keep_vectors,
    kept_vectors,
    pooled,
    vectors_of,
)
from trainers.tasks.tokenizer import load_tokenizer
from trainers.tasks.tokens import laid_out, shown_texts, strings, token_mask, tokenised

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

AUTO_MODEL = "AutoModel"
PARTS = ("input_ids_a", "input_ids_b", "input_ids_c")
"""Columns of a shard with the tokens of anchor, positive and negative."""


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    vectors: "Tensor"
    """Of anchors, positives, negatives, as far as there are such: (parts, rows, width) fp32."""
    values: "Tensor"
    """Cosine of anchor and positive, or of the anchor and itself: (rows,) fp32."""
    embedded: "Tensor"
    """Vectors of anchors at the length that the folder gives them: (rows, width) fp32."""
    labels: "Tensor"
    """As `collate` gives them."""


def columns(task: SentenceEmbedding) -> Columns:
    """Name the columns with the texts and the score; predicting reads the anchor alone."""
    others = [name for name in (task.positive, task.negative) if name is not None]
    inputs = (
        Column(task.anchor, "text"),
        *(Column(name, "text", for_training=True) for name in others),
    )
    return Columns(inputs, Column(task.score, "number") if task.score is not None else None)


def load_processor(model: Model) -> "PreTrainedTokenizerBase":
    """Load the model's tokenizer; it keeps what its folder puts before each text.

    Raises RecipeError when there is none, or the folder makes vectors in a way that is not trained.
    """
    tokenizer = load_tokenizer(model)
    keep_vectors(tokenizer, vectors_of(model))
    return tokenizer


def encode(
    task: SentenceEmbedding,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn texts and score into input_ids_a, _b, _c (negatives only), label and length.

    The length is that of the longest text. Texts longer than max_length tokens, or than the model
    can take, are cut. Raises RowError for a score that is not within [0, 1].
    """
    texts = [_tokens(processor, max_length, cells[c.name]) for c in columns(task).inputs]
    parts = {name: part["input_ids"] for name, part in zip(PARTS, texts, strict=False)}
    if task.score is not None:
        parts["label"] = finite_numbers(cells[task.score], task.score)
        scores = parts["label"].to_numpy()
        wrong = np.flatnonzero((scores < 0) | (scores > 1))
        if len(wrong):
            raise RowError(
                int(wrong[0]),
                f"column {task.score} has {scores[wrong[0]]:g}, a score is within [0, 1]. "
                "Divide all scores by the highest",
            )
    parts["length"] = pc.max_element_wise(*(part["length"] for part in texts))
    return pa.table(parts)


def encode_inputs(
    task: SentenceEmbedding, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn the anchors into input_ids_a and length."""
    anchors = _tokens(processor, max_length, cells[task.anchor])
    return pa.table({PARTS[0]: anchors["input_ids"], "length": anchors["length"]})


def collate(
    task: SentenceEmbedding, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads the texts of shard rows to the longest of them.

    It returns the model's inputs, each (parts * rows, tokens) int64, and labels (rows,): the score
    as fp32, or as int64 which of the positives belongs to the row.
    """
    return lambda rows: (_inputs_of(rows, batching), _labels_of(rows))


def build_model(
    model: Model, task: SentenceEmbedding, label_names: tuple[str, ...], bits: int | None = None
) -> Built:
    """Load the model in fp32, so that it gives vectors too; it has no head.

    Also names what is new: a pooler, which nothing uses, where the folder has none. Raises
    RecipeError for a model that cannot be used as asked, or whose weights are not whole.
    """
    built, _, new = build_pretrained(AUTO_MODEL, model, bits=bits)
    vectors = vectors_of(model)
    keep_vectors(built, vectors)
    said = vectors.remark()
    if said is not None:
        remark(built, said)
    # The loss sees outputs alone, and pooling takes the mask that was fed.
    built.register_forward_hook(_vectors_into(task.scale, vectors), with_kwargs=True)
    return built, frozenset(), new


def output_of(outputs: Any) -> "Tensor":
    """Give the last hidden states, (texts, tokens, width)."""
    states: Tensor = outputs.last_hidden_state
    return states


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the loss, computed in fp32, over the rows whose label is neither -100 nor NaN.

    With a score it is the squared difference of cosine and score, else the cross entropy of the
    scaled cosines with all positives and negatives.
    """
    from torch.nn import functional

    vectors = outputs.vectors.unflatten(0, (-1, len(labels)))  # (parts, rows, width)
    anchors, others = vectors[0], vectors[1:].flatten(0, 1)
    if not labels.is_floating_point():
        cosines = anchors @ others.T  # (rows, positives and negatives)
        scaled = cosines * outputs.cosine_scale
        return functional.cross_entropy(scaled, labels, reduction="sum", ignore_index=IGNORED)
    counts = is_target(labels)
    error = (anchors * others).sum(-1) - labels.masked_fill(~counts, 0.0)
    total: Tensor = (error.square() * counts).sum()
    return total


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give the vector of each text."""
    from torch.nn import functional

    # Of an exported folder, which transformers alone has loaded, only the tokenizer knows it.
    how = getattr(fed.outputs, "vectors_of_folder", None) or kept_vectors(setting.processor())
    given = pooled(
        fed.outputs.last_hidden_state.detach(), fed.inputs["attention_mask"], how.pooling
    )
    vectors = functional.normalize(given, dim=-1)
    parts = vectors.unflatten(0, (-1, len(fed.labels)))
    embedded = (vectors if how.has_length_1 else given)[: len(fed.labels)]
    cosines = (parts[0] * parts[min(1, len(parts) - 1)]).sum(-1)
    return Answer(parts, cosines, embedded, fed.labels)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    if setting.task.score is not None:
        from trainers.tasks.number_scores import NumberScores

        return NumberScores(setting.device)
    from trainers.tasks.retrieval_scores import RetrievalScores

    return RetrievalScores(setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give cosines and scores, (rows,) fp32; without scores vectors of anchors and positives."""
    if setting.task.score is not None:
        return given.values.cpu().numpy(), given.labels.cpu().numpy()
    anchors, positives = given.vectors[0], given.vectors[min(1, len(given.vectors) - 1)]
    return anchors.cpu().numpy(), positives.cpu().numpy()


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show anchor, positive with its score, and the cosine of both, of each row that counts."""
    texts = shown_texts(setting, fed)
    has_score, count = given.labels.is_floating_point(), len(given.labels)
    found = []
    for row in is_target(given.labels).nonzero().flatten().tolist():
        score = f" ({float(given.labels[row]):.4g})" if has_score else ""
        cosine = f"{float(given.values[row]):.4f}"
        found.append(Sample(texts[row], texts[count + row] + score, cosine))
    return found


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give the vector of each anchor."""
    return {"embedding": given.embedded.tolist()}


def _tokens(
    processor: "PreTrainedTokenizerBase", max_length: int, texts: pa.ChunkedArray
) -> pa.Table:
    """Turn texts, with the prompt before each, into input_ids and length."""
    prompt = kept_vectors(processor).prompt
    if prompt:
        texts = pc.binary_join_element_wise(prompt, strings(texts), "")
    return tokenised(processor, max_length, [texts])


def _vectors_into(scale: float, how: Vectors) -> "Callable[[Any, Any, dict[str, Any], Any], None]":
    """Give the hook that adds to a model's outputs the vectors of the texts that it was fed."""
    from torch.nn import functional

    def add(_: Any, __: Any, inputs: dict[str, Any], outputs: Any) -> None:
        given = pooled(outputs.last_hidden_state, inputs["attention_mask"], how.pooling)
        vectors = functional.normalize(given, dim=-1)
        outputs["vectors_of_folder"] = how
        unused = outputs.get("pooler_output")
        if unused is not None:
            # Without a gradient it would decay at some ZeRO stages and stay at others.
            vectors = vectors + 0.0 * unused.float().sum()
        outputs["vectors"] = vectors
        outputs["cosine_scale"] = scale

    return add


def _inputs_of(rows: pa.Table, batching: Batching) -> "dict[str, Tensor]":
    import torch

    names = [name for name in PARTS if name in rows.column_names]
    # A slice of a list column has an offset into its values, which joining takes away.
    parts = [rows[name].combine_chunks() for name in names]
    lengths = np.concatenate([pc.list_value_length(part).to_numpy() for part in parts])
    mask = token_mask(lengths, batching)
    ids = laid_out(pa.chunked_array([pa.concat_arrays(parts)]), mask, batching.pad_token_id)
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask.astype(np.int64)),
    }


def _labels_of(rows: pa.Table) -> "Tensor":
    import torch

    if "label" in rows.column_names:
        return torch.from_numpy(rows["label"].to_numpy().astype(np.float32))
    if PARTS[1] in rows.column_names:
        return torch.arange(len(rows))
    return torch.full((len(rows),), IGNORED)


SENTENCE_EMBEDDING = TaskFunctions(
    auto_model=AUTO_MODEL,
    pipeline=None,  # it would give the states of tokens
    hub_task="sentence-similarity",
    predicted=("embedding",),
    columns=columns,
    load_processor=load_processor,
    encode=encode,
    encode_inputs=encode_inputs,
    collate=collate,
    build_model=build_model,
    output_of=output_of,
    summed_loss=summed_loss,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
