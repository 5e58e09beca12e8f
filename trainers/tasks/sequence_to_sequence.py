"""Sequence to sequence: one text turned into another by an encoder and a decoder.

How the model is loaded stands in pretrained.py, how it writes in generation.py, how what it wrote
is judged in text_scores.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Column, Columns
from configs.task_sections import SequenceToSequence
from trainers.tasks.functions import Built, TaskFunctions
from trainers.tasks.generation import (
    START,
    end_of,
    start_of_decoder,
    tell_of_writing,
    written_texts,
)
from trainers.tasks.judging import IGNORED, Batching, Fed, Sample, Scores, Setting, objects
from trainers.tasks.model_config import load_config, max_positions
from trainers.tasks.pretrained import build_pretrained
from trainers.tasks.tokenizer import load_tokenizer
from trainers.tasks.tokens import laid_out, pad_tokens, shown_texts, strings, token_mask, tokenised

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss

AUTO_MODEL = "AutoModelForSeq2SeqLM"
NO_TEXT = "-"


@dataclass(frozen=True)
class Answer:
    """What the model said about the rows of a microbatch."""

    losses: "Tensor"
    """Loss of each row, summed over its targets: (rows,) float64."""
    targets: "Tensor"
    """Tokens of each row's target: (rows,) int64."""
    texts: dict[int, str]
    """What the model wrote, by row."""
    expected: list[str]
    """The target of each row, as the tokenizer gives its tokens back."""


def columns(task: SequenceToSequence) -> Columns:
    """Name the columns with what is read and what is to be written."""
    return Columns((Column(task.source, "text"),), Column(task.target, "text"))


def numbers(model: Model, processor: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Give the token that a decoder begins with; raises RecipeError where the model names none."""
    token = start_of_decoder(load_config(model))
    if token is not None:
        return {START: token}
    raise RecipeError(
        f"model.path ({model.path}) names no {START}, so its decoder has nothing to begin with. "
        "Write one into its config.json, often the padding token"
    )


def encode(
    task: SequenceToSequence,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn text columns into input_ids, label (the target's tokens) and length (of the source).

    Longer sources and targets are cut; their end token stays.
    """
    encoded = encode_inputs(task, processor, max_length, cells)
    most = min(task.max_target_length, processor.model_max_length)
    tokens: list[list[int]] = []
    if len(cells):
        texts = strings(cells[task.target]).to_pylist()
        tokens = processor(text_target=texts, truncation=True, max_length=most)["input_ids"]
    end = processor.eos_token_id
    if end is not None:
        # What never sees an end does not learn to stop.
        tokens = [row if end in row else [*row[: most - 1], end] for row in tokens]
    # A row of no target at all would have no loss.
    tokens = [row or [processor.pad_token_id] for row in tokens]
    labels = pa.array(tokens, pa.list_(pa.int32()))
    return encoded.add_column(encoded.num_columns - 1, "label", labels)


def encode_inputs(
    task: SequenceToSequence,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    cells: pa.Table,
) -> pa.Table:
    """Turn the source column into input_ids and length."""
    source = strings(cells[task.source])
    if task.prefix:
        source = pc.binary_join_element_wise(task.prefix, source, "")
    return tokenised(processor, max_length, [source])


def collate(
    task: SequenceToSequence, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads sources and targets of shard rows to the longest of each.

    It returns input_ids, attention_mask, (rows, source tokens), decoder_input_ids, (rows, target
    tokens), all int64, and labels like these: decoder_input_ids one token ahead, -100 for padding.
    """
    import torch

    start = batching.numbers[START]

    def collated(rows: pa.Table) -> "tuple[dict[str, Tensor], Tensor]":
        inputs = pad_tokens(rows, batching)
        labels = np.full((len(rows), 1), IGNORED)
        if "label" in rows.column_names:
            lengths = pc.list_value_length(rows["label"]).to_numpy()
            labels = laid_out(rows["label"], token_mask(lengths, batching), IGNORED)
        fed = np.full_like(labels, start)
        fed[:, 1:] = np.where(labels == IGNORED, batching.pad_token_id, labels)[:, :-1]
        inputs["decoder_input_ids"] = torch.from_numpy(fed)
        return inputs, torch.from_numpy(labels)

    return collated


def build_model(
    model: Model, task: SequenceToSequence, label_names: tuple[str, ...], bits: int | None = None
) -> Built:
    """Load the model in fp32; also name its head and what of it is new.

    Raises RecipeError for a model that cannot be used as asked, or whose
    weights are not whole.
    """
    built = build_pretrained(AUTO_MODEL, model, None, bits)
    most, asked = max_positions(built[0].config), task.generation.max_new_tokens
    if asked is not None and asked > most:
        raise RecipeError(
            f"task.generation.max_new_tokens is {asked} but {model.path} has {most} positions. "
            f"Use at most {most}"
        )
    end = built[0].generation_config.eos_token_id
    end = end_of(built[0], load_tokenizer(model)) if end is None else end
    tell_of_writing(built[0], task.generation, end)
    _freeze_tables(built[0])
    return built


def _freeze_tables(model: "PreTrainedModel") -> None:
    """Let positions that are computed (Marian, Pegasus) not learn, as the model's class has it.

    transformers 5.23 marks them anew when it loads a folder that lacks them.
    """
    import torch

    with torch.device("meta"):
        fresh = type(model)(model.config)
    fixed = {name for name, parameter in fresh.named_parameters() if not parameter.requires_grad}
    for name, parameter in model.named_parameters():
        if name in fixed:
            parameter.requires_grad_(False)


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the cross entropy, computed in fp32, over the target tokens that are not -100."""
    return _cross_entropy(outputs, labels, "sum", 0.0)


def training_loss(recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
    """Give the loss that training minimises, summed over the target tokens that are not -100."""
    smoothing = recipe.loss.label_smoothing
    return lambda outputs, labels: _cross_entropy(outputs, labels, "sum", smoothing)


def answer(setting: Setting, fed: Fed) -> Answer:
    """Score the targets of each row and write its text where asked. Collective under ZeRO-3."""
    losses = _cross_entropy(fed.outputs, fed.labels, "none", 0.0).double()
    sources = {name: fed.inputs[name] for name in ("input_ids", "attention_mask")}
    texts = written_texts(setting, fed, sources)
    kept = fed.labels != IGNORED
    pairs = zip(fed.labels.cpu(), kept.cpu(), strict=True)
    targets = [ids[mask].tolist() for ids, mask in pairs]
    # A tokenizer is not asked for where no text is written: training then needs none.
    expected = _decoded(setting, targets) if texts else []
    return Answer(losses.reshape(fed.labels.shape).sum(1), kept.sum(1), texts, expected)


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.tasks.text_scores import TextScores

    return TextScores(setting.device)


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give the text that was written for each row, None for none, and its target."""
    places = range(len(given.targets))
    said = objects([given.texts.get(place) for place in places])
    return said, objects(given.expected or [None for _ in places])


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show source, target and what was written of each row that has both."""
    sources = shown_texts(setting, fed) if given.texts else []
    return [
        Sample(text=sources[row], label=given.expected[row] or NO_TEXT, prediction=text or NO_TEXT)
        for row, text in given.texts.items()
        if given.targets[row]
    ]


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give what the model wrote for each row."""
    return {"prediction": [given.texts[row] for row in range(len(given.targets))]}


def _cross_entropy(outputs: Any, labels: "Tensor", reduction: str, smoothing: float) -> "Tensor":
    from torch.nn import functional

    return functional.cross_entropy(
        outputs.logits.float().flatten(0, 1),
        labels.flatten(),
        reduction=reduction,
        ignore_index=IGNORED,
        label_smoothing=smoothing,
    )


def _decoded(setting: Setting, tokens: list[list[int]]) -> list[str]:
    texts = setting.processor().batch_decode(tokens, skip_special_tokens=True)
    return [str(text).strip() for text in texts]


SEQUENCE_TO_SEQUENCE = TaskFunctions(
    auto_model=AUTO_MODEL,
    pipeline=None,  # transformers 5 has none any more
    hub_task="text2text-generation",
    predicted=("prediction",),
    columns=columns,
    load_processor=load_tokenizer,
    numbers=numbers,
    encode=encode,
    encode_inputs=encode_inputs,
    collate=collate,
    build_model=build_model,
    summed_loss=summed_loss,
    training_loss=training_loss,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
