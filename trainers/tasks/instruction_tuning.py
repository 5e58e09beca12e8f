"""Instruction tuning: answer prompts, instructions about an input, or conversations.

Only answers are targets, unless the recipe asks for all tokens. With a chat template (the recipe's,
else the tokenizer's) a prompt and its answer are a conversation of two turns; without one they are
written one behind the other, and a prompt that is made of instruction and input ends each with a
blank line. What language models share stands in causal.py, how conversations are written in
conversations.py.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from configs.errors import RecipeError
from configs.task_columns import Column, Columns
from configs.task_sections import InstructionTuning
from trainers.tasks.causal import as_shard, ended, following, labelled, opening, token_limit
from trainers.tasks.conversations import (
    Dialogue,
    Turn,
    check_turns,
    question,
    read_turns,
    write_dialogue,
    write_question,
)
from trainers.tasks.language_modeling import LANGUAGE_MODELING
from trainers.tasks.refusals import RowError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BLANK_LINE = "\n\n"
Marked = tuple[list[int], list[bool]]
"""The tokens of a row, and which of them are of an answer."""


def columns(task: InstructionTuning) -> Columns:
    """Name the column with the conversation, or those with prompt, input and answer."""
    if task.messages is not None:
        return Columns((Column(task.messages, "json"),), None)
    about = (Column(task.input, "text", may_be_empty=True),) if task.input is not None else ()
    return Columns((Column(task.prompt, "text"), *about), Column(task.completion, "text"))


def encode(
    task: InstructionTuning,
    processor: "PreTrainedTokenizerBase",
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    """Turn conversations, or prompts and answers, into input_ids, label and length.

    Rows longer than max_length tokens, or than the model can take, are cut at the end. Raises
    RowError for an answer that is empty or would be cut away, and for roles in the wrong order.
    """
    limit = token_limit(processor, max_length)
    rows = _marked(task, processor, cells)
    for index, (_, in_answer) in enumerate(rows):
        if not any(in_answer[1:limit]):
            _refuse(index, in_answer, limit)
    ids = [tokens[:limit] for tokens, _ in rows]
    everything = task.loss_on == "all"
    targets = [[everything or each for each in in_answer[:limit]] for _, in_answer in rows]
    return as_shard(ids, [labelled(*row) for row in zip(ids, targets, strict=True)])


def encode_inputs(
    task: InstructionTuning, processor: "PreTrainedTokenizerBase", max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn prompts, or conversations up to an answer, into input_ids and length.

    An answer that a conversation ends with is left out. Raises RowError for a prompt that leaves no
    room for an answer, or has no tokens at all.
    """
    limit = token_limit(processor, max_length)
    prompts = _questions(task, processor, cells)
    for index, ids in enumerate(prompts):
        if len(ids) >= limit:
            _refuse_prompt(index, len(ids), limit)
        if not ids:
            raise RowError(
                index,
                "the prompt has no tokens, so there is nothing to answer. Write one, or drop the "
                "row",
            )
    return as_shard(prompts)


def _marked(
    task: InstructionTuning, processor: "PreTrainedTokenizerBase", cells: pa.Table
) -> list[Marked]:
    """Give the tokens of each row, not cut, and which of them are of an answer."""
    if task.messages is not None:
        conversations = [
            read_turns(index, cell) for index, cell in enumerate(cells[task.messages].to_pylist())
        ]
        for index, turns in enumerate(conversations):
            check_turns(index, turns)
        return _of_conversations(task, processor, conversations)
    has_template = _template(task, processor) is not None
    prompts = _prompts(task, cells, behind="" if has_template else BLANK_LINE)
    answers = cells[task.completion].to_pylist()
    for index, text in enumerate(answers):
        if not (text or "").strip():
            raise RowError(
                index, f"the answer in {task.completion} is empty. Fill it in or drop the row"
            )
    if has_template:
        pairs = zip(prompts, answers, strict=True)
        return _of_conversations(task, processor, [[_asked(p), _told(a)] for p, a in pairs])
    rows = []
    parts = zip(opening(processor, prompts), following(processor, answers), strict=True)
    for asked, told in parts:
        told = ended(processor, told)
        rows.append(([*asked, *told], [False] * len(asked) + [True] * len(told)))
    return rows


def _questions(
    task: InstructionTuning, processor: "PreTrainedTokenizerBase", cells: pa.Table
) -> list[list[int]]:
    """Give the tokens of each row up to where it is to be answered, not cut."""
    if task.messages is not None:
        read = enumerate(cells[task.messages].to_pylist())
        turns = [question(index, read_turns(index, cell)) for index, cell in read]
    else:
        if _template(task, processor) is None:
            return opening(processor, _prompts(task, cells, behind=BLANK_LINE))
        turns = [[_asked(prompt)] for prompt in _prompts(task, cells, behind="")]
    template = task.chat_template
    texts = [write_question(processor, template, *each) for each in enumerate(turns)]
    return following(processor, texts)


def _of_conversations(
    task: InstructionTuning,
    processor: "PreTrainedTokenizerBase",
    conversations: list[list[Turn]],
) -> list[Marked]:
    """Write conversations as text, whole, and find the tokens of their answers in it."""
    if not conversations:
        return []
    if not processor.is_fast:
        raise RecipeError(
            "the tokenizer does not say where in a text its tokens stand. Save its fast form "
            "(tokenizer.json) beside the model"
        )
    dialogues = [
        write_dialogue(processor, task.chat_template, index, turns)
        for index, turns in enumerate(conversations)
    ]
    made = processor(
        [dialogue.text for dialogue in dialogues],
        add_special_tokens=False,  # the template writes them
        return_attention_mask=False,
        return_offsets_mapping=True,
    )
    parts = zip(made["input_ids"], made["offset_mapping"], dialogues, strict=True)
    return [(ids, _in_answers(places, dialogue)) for ids, places, dialogue in parts]


def _in_answers(places: list[tuple[int, int]], dialogue: Dialogue) -> list[bool]:
    """Say which tokens begin in an answer."""
    return [any(first <= begin < stop for first, stop in dialogue.answers) for begin, _ in places]


def _prompts(task: InstructionTuning, cells: pa.Table, behind: str) -> list[str]:
    """Give the prompts as they are, or with their inputs, `behind` following each of those."""
    prompts: list[str] = cells[task.prompt].to_pylist()
    if task.input is None:
        return prompts
    pairs = zip(prompts, cells[task.input].to_pylist(), strict=True)
    return [BLANK_LINE.join(part for part in pair if part) + behind for pair in pairs]


def _template(task: InstructionTuning, processor: "PreTrainedTokenizerBase") -> str | None:
    template: str | None = task.chat_template or processor.chat_template
    return template


def _asked(text: str) -> Turn:
    return {"role": "user", "content": text}


def _told(text: str) -> Turn:
    return {"role": "assistant", "content": text}


def _refuse(index: int, in_answer: list[bool], limit: int) -> None:
    """Raise RowError for a row without a target; says why."""
    if any(in_answer[limit:]):
        _refuse_prompt(index, in_answer.index(True), limit)
    raise RowError(index, "the answer has no token of its own. Drop the row")


def _refuse_prompt(index: int, num_tokens: int, limit: int) -> None:
    raise RowError(
        index,
        f"the prompt is longer than max_length: {num_tokens} tokens where {limit} leave no room "
        "for an answer. Raise batch.max_length, or shorten or drop the row",
        "the prompt leaves no room for an answer in batch.max_length",
    )


INSTRUCTION_TUNING = replace(
    LANGUAGE_MODELING, columns=columns, encode=encode, encode_inputs=encode_inputs
)
