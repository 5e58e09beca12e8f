"""What tasks share whose model goes on writing: rows of tokens, model, loss, answers, metrics.

Which tokens of a row are targets, the task says. A row's first token never is one, because nothing
comes before it: so the number of targets is the number of labels that count. Torch and transformers
are imported where they are used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_sections import InstructionTuning, LanguageModeling
from trainers.tasks.continuations import Written, prepare_to_write, write
from trainers.tasks.functions import Built
from trainers.tasks.judging import IGNORED, Batching, Fed, Sample, Scores, Setting, objects
from trainers.tasks.pretrained import build_pretrained
from trainers.tasks.tokenizer import load_tokenizer
from trainers.tasks.tokens import laid_out, pad_tokens, token_mask

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

AUTO_MODEL = "AutoModelForCausalLM"
NO_TEXT = "-"


@dataclass(frozen=True)
class Answer:
    """How well the model foretold the targets of each row, and what it wrote; all (rows,)."""

    losses: "Tensor"
    """Sum of the cross entropy over the row's targets, float64."""
    hits: "Tensor"
    """Targets that were the likeliest token, int64."""
    targets: "Tensor"
    """Targets, int64."""
    written: "Written"


def opening(processor: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Turn texts that open a row into tokens, with what the tokenizer puts before a text.

    What it puts behind one is left out: the row goes on.
    """
    if not texts:
        return []
    bare = following(processor, texts)
    made = processor(list(texts), return_attention_mask=False)["input_ids"]
    return [ids[: _last_of(ids, own)] for ids, own in zip(made, bare, strict=True)]


def following(processor: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Turn texts that stand inside a row into tokens; none is added."""
    if not texts:
        return []
    made = processor(list(texts), add_special_tokens=False, return_attention_mask=False)
    ids: list[list[int]] = made["input_ids"]
    return ids


def _last_of(ids: list[int], own: list[int]) -> int:
    """Say behind which place the tokens of a text itself end."""
    for end in range(len(ids), len(own) - 1, -1):
        if ids[end - len(own) : end] == own:
            return end
    return len(ids)


def ended(processor: "PreTrainedTokenizerBase", ids: list[int]) -> list[int]:
    """Put the end token behind tokens, where there is one and it is not there."""
    end = processor.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def token_limit(processor: "PreTrainedTokenizerBase", max_length: int) -> int:
    """Give the most tokens of a row."""
    return int(min(max_length, processor.model_max_length))


def labelled(ids: list[int], are_targets: Sequence[bool]) -> list[int]:
    """Give the label of each token: itself, or IGNORED; always IGNORED for the first."""
    kept = [t if asked else IGNORED for t, asked in zip(ids, are_targets, strict=True)]
    return [IGNORED, *kept[1:]]


def as_shard(ids: list[list[int]], labels: list[list[int]] | None = None) -> pa.Table:
    """Give input_ids, label (one a token) where there are labels, and length."""
    columns = {"input_ids": pa.array(ids, pa.list_(pa.int32()))}
    if labels is not None:
        columns["label"] = pa.array(labels, pa.list_(pa.int32()))
    columns["length"] = pc.list_value_length(columns["input_ids"])
    return pa.table(columns)


def collate(
    task: LanguageModeling | InstructionTuning, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that pads shard rows to the longest, or lays them in one sequence.

    It returns the model's inputs and the labels, all (rows, tokens) int64; packed they are
    (1, tokens), with position ids that begin anew with each row. A packed sequence is attended to
    row by row only by a model that keeps no cache, see `build_model`.
    """
    return _pack if batching.packing else lambda rows: _pad(rows, batching)


def _pad(rows: pa.Table, batching: Batching) -> "tuple[dict[str, Tensor], Tensor]":
    import torch

    inputs = pad_tokens(rows, batching)
    if "label" not in rows.column_names:
        return inputs, torch.full_like(inputs["input_ids"], IGNORED)
    mask = token_mask(rows["length"].to_numpy(), batching)
    return inputs, torch.from_numpy(laid_out(rows["label"], mask, IGNORED))


def _pack(rows: pa.Table) -> "tuple[dict[str, Tensor], Tensor]":
    from trainers.data.packing import pack_rows, pack_targets

    return pack_rows(rows), pack_targets(rows, "label", IGNORED)


def build_model(
    model: Model,
    task: LanguageModeling | InstructionTuning,
    label_names: tuple[str, ...],
    bits: int | None = None,
) -> Built:
    """Load the model in fp32, with room for every token of its tokenizer.

    No head is named: what a language model ends with is as pre-trained as the rest. The model keeps
    no cache while it trains, with which transformers 5.23 lets packed rows see each other. Raises
    RecipeError for a model that cannot be used as asked, or whose weights are not whole.
    """
    loaded, _, new = build_pretrained(AUTO_MODEL, model, None, bits)
    if new:
        raise RecipeError(
            f"model.path ({model.path}) lacks {min(new)}, so it cannot write text. Use a folder "
            "with the whole language model"
        )
    processor = load_tokenizer(model)
    loaded.config.use_cache = False
    prepare_to_write(loaded, model, task, processor)
    return loaded, frozenset(), frozenset()


def foretold(outputs: Any, labels: "Tensor") -> "tuple[Tensor, Tensor, Tensor]":
    """Give for each target its row, its label and the logits that foretell it, in fp32.

    The logits at a token foretell the next one. Only those of targets are made fp32: of a long
    prompt and a large vocabulary that would be most of the memory.
    """
    following_labels = labels[:, 1:]
    counts = following_labels != IGNORED
    rows = counts.nonzero()[:, 0]
    return rows, following_labels[counts], outputs.logits[:, :-1][counts].float()


def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
    """Sum the cross entropy, computed in fp32, over the tokens whose label is not -100."""
    from torch.nn import functional

    _, wanted, logits = foretold(outputs, labels)
    return functional.cross_entropy(logits, wanted, reduction="sum")


def answer(setting: Setting, fed: Fed) -> Answer:
    """Give, for each row, how well its targets were foretold, and write its text where asked.

    Collective under ZeRO-3.
    """
    import torch
    from torch.nn import functional

    rows, wanted, logits = foretold(fed.outputs, fed.labels)
    losses = functional.cross_entropy(logits, wanted, reduction="none").double()
    hits = (logits.argmax(-1) == wanted).long()
    empty = torch.zeros(len(fed.labels), dtype=torch.long, device=rows.device)
    return Answer(
        losses=empty.double().index_add(0, rows, losses),
        hits=empty.index_add(0, rows, hits),
        targets=empty.index_add(0, rows, torch.ones_like(rows)),
        written=write(setting, fed),
    )


def compared(setting: Setting, given: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Give the text that was written for each row, and the one that was to be; None for none."""
    places, written = range(len(given.targets)), given.written
    said = objects([written.texts.get(place) for place in places])
    return said, objects([written.expected.get(place) for place in places])


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show of each row that text was written for what came before it, and what was to follow."""
    written = given.written
    return [
        Sample(
            text=written.prompts[row] or NO_TEXT,
            label=written.expected[row] or NO_TEXT,
            prediction=text or NO_TEXT,
        )
        for row, text in written.texts.items()
        if int(given.targets[row])
    ]


def predictions(setting: Setting, given: Answer) -> dict[str, list[Any]]:
    """Give what the model wrote for each row."""
    return {"prediction": [given.written.texts[row] for row in range(len(given.targets))]}


def build_scores(setting: Setting) -> Scores:
    """Make the state from which the metrics of a split are computed."""
    from trainers.token_metrics import TokenScores

    return TokenScores(setting.device)
