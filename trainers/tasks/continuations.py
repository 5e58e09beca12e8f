"""What language models are let write: from where in a row they go on, and where they end.

How they write stands in generation.py, what is thought of it in trainers/token_metrics.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_sections import InstructionTuning, LanguageModeling
from trainers.tasks.conversations import write_dialogue
from trainers.tasks.generation import most_new_tokens, tell_of_writing, written_texts
from trainers.tasks.judging import IGNORED, Fed, Setting
from trainers.tasks.model_config import max_positions

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Written:
    """Texts that a model wrote for rows of a microbatch."""

    texts: dict[int, str]
    """What it wrote, by row."""
    prompts: list[str]
    """What each row's text goes on from; empty where none was written."""
    expected: dict[int, str]
    """What was to be written, by row."""


def write(setting: Setting, fed: Fed) -> Written:
    """Let the model write for the rows that it is asked for. Collective under ZeRO-3."""
    if setting.generate is None or fed.written is None:
        return Written({}, [], {})
    labels = fed.labels.cpu()
    ids = [
        row[mask.bool()]
        for row, mask in zip(fed.inputs["input_ids"], fed.inputs["attention_mask"], strict=True)
    ]
    starts = [
        start_of(setting.task, own, len(tokens)) for own, tokens in zip(labels, ids, strict=True)
    ]
    model = setting.generate.model
    room = max_positions(model.config) - most_new_tokens(model, setting.task.generation)
    asked = [row[:start][-room:] for row, start in zip(ids, starts, strict=True)]
    texts = written_texts(setting, fed, _side_by_side(asked))
    if not texts:
        return Written({}, [], {})
    decode = setting.processor().decode
    return Written(
        texts,
        [str(decode(row, skip_special_tokens=True)).strip() for row in asked],
        {
            row: str(decode(ids[row][starts[row] :], skip_special_tokens=True)).strip()
            for row in texts
        },
    )


def start_of(task: LanguageModeling | InstructionTuning, labels: "Tensor", length: int) -> int:
    """Say at which token of a row its text is to be written anew.

    That is where the last answer begins, or the second half of a plain text; the end where nothing
    is known of the row. `labels` are those of its tokens, padding behind them.
    """
    targets = (labels[:length] != IGNORED).nonzero().flatten().tolist()
    if not targets:
        return length
    if isinstance(task, LanguageModeling):
        return (length + 1) // 2
    place = len(targets) - 1
    while place and targets[place - 1] == targets[place] - 1:
        place -= 1
    return int(targets[place])


def prepare_to_write(
    loaded: "PreTrainedModel",
    model: Model,
    task: LanguageModeling | InstructionTuning,
    processor: "PreTrainedTokenizerBase",
) -> None:
    """Tell the model which tokens end what it writes; the exported folder says so too.

    Those are its own ones, the tokenizer's end token, which training puts behind rows, and what the
    chat template puts behind an answer. Raises RecipeError for more new tokens than it has room
    for.
    """
    most, asked = max_positions(loaded.config), task.generation.max_new_tokens
    if asked is not None and asked >= most:
        raise RecipeError(
            f"task.generation.max_new_tokens is {asked} but {model.path} has {most} positions, for "
            f"the prompt too. Use at most {most - 1}"
        )
    config: Any = loaded.generation_config
    own = config.eos_token_id
    ends = dict.fromkeys([own] if isinstance(own, int) else own or [])
    ends |= dict.fromkeys([processor.eos_token_id, _end_of_turn(task, processor)])
    known = [token for token in ends if token is not None]
    config.eos_token_id = known[0] if len(known) == 1 else known or None
    tell_of_writing(loaded, task.generation, config.eos_token_id)


def _end_of_turn(
    task: LanguageModeling | InstructionTuning, processor: "PreTrainedTokenizerBase"
) -> int | None:
    """Find the special token that the chat template puts behind an answer; None for none."""
    if isinstance(task, LanguageModeling) or not (task.chat_template or processor.chat_template):
        return None
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    dialogue = write_dialogue(processor, task.chat_template, 0, turns)
    first, stop = dialogue.answers[0]
    behind = dialogue.text[dialogue.text.index("b", first) + 1 : stop]
    ids: list[int] = processor(behind, add_special_tokens=False)["input_ids"]
    special = set(processor.all_special_ids) | set(processor.added_tokens_decoder)
    return next((token for token in ids if token in special), None)


def _side_by_side(rows: "list[Tensor]") -> "dict[str, Tensor]":
    """Pad rows of tokens to the longest; gives model inputs, (rows, tokens)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    masks = [torch.ones_like(row) for row in rows]
    return {
        "input_ids": pad_sequence(rows, batch_first=True),
        "attention_mask": pad_sequence(masks, batch_first=True),
    }
