"""Prompts, instructions and conversations to tokens: which are targets, which rows are refused."""

import json
from typing import Any

import pyarrow as pa
import pytest

from configs.errors import RecipeError
from configs.task_columns import Column, Columns
from configs.task_sections import InstructionTuning
from tests.tiny_causal import CHATML, make_byte_tokenizer
from trainers.tasks import functions_of
from trainers.tasks.instruction_tuning import INSTRUCTION_TUNING
from trainers.tasks.refusals import RowError

PAIRS = InstructionTuning(kind="instruction_tuning")
ALPACA = InstructionTuning(
    kind="instruction_tuning", prompt="instruction", input="input", completion="output"
)
CHATS = InstructionTuning(kind="instruction_tuning", messages="messages")
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi?"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
]


def tokenizer(template: str | None = None) -> Any:
    made = make_byte_tokenizer(template)
    made.pad_token = made.eos_token
    return made


def encoded(task: InstructionTuning, template: str | None = None, **cells: Any) -> Any:
    limit = cells.pop("max_length", 256)
    table = pa.table({name: [value] for name, value in cells.items()})
    return INSTRUCTION_TUNING.encode(task, tokenizer(template), limit, (), table)


def texts_of(table: Any, template: str | None = None) -> tuple[str, list[str]]:
    """Give a row's text, and the texts of its runs of targets."""
    decode = tokenizer(template).decode
    ids, labels = table["input_ids"].to_pylist()[0], table["label"].to_pylist()[0]
    assert len(ids) == len(labels) == table["length"].to_pylist()[0]
    runs: list[list[int]] = []
    for place, (token, label) in enumerate(zip(ids, labels, strict=True)):
        if label == -100:
            continue
        assert label == token
        if place == 0 or labels[place - 1] == -100:
            runs.append([])
        runs[-1].append(token)
    return decode(ids), [decode(run) for run in runs]


def chat(*turns: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in turns])


def test_the_task_has_its_functions_and_columns() -> None:
    assert functions_of(PAIRS) is INSTRUCTION_TUNING
    answer = Column("completion", "text")
    assert INSTRUCTION_TUNING.columns(PAIRS) == Columns((Column("prompt", "text"),), answer)
    about = Column("input", "text", may_be_empty=True)
    assert INSTRUCTION_TUNING.columns(ALPACA).inputs == (Column("instruction", "text"), about)
    assert INSTRUCTION_TUNING.columns(CHATS) == Columns((Column("messages", "json"),), None)


def test_without_a_template_the_answer_follows_the_prompt() -> None:
    table = encoded(PAIRS, prompt="Add 1 and 2:", completion=" 3")
    assert texts_of(table) == ("Add 1 and 2: 3<|end|>", [" 3<|end|>"])
    assert table.schema.field("label").type == pa.list_(pa.int32())


def test_an_instruction_and_its_input_end_with_a_blank_line_each() -> None:
    table = encoded(ALPACA, instruction="Shout", input="hi", output="HI")
    assert texts_of(table) == ("Shout\n\nhi\n\nHI<|end|>", ["HI<|end|>"])
    table = encoded(ALPACA, instruction="Shout", input="", output="HI")
    assert texts_of(table) == ("Shout\n\nHI<|end|>", ["HI<|end|>"])


def test_with_a_template_a_prompt_is_a_turn() -> None:
    table = encoded(ALPACA, CHATML, instruction="Shout", input="hi", output="HI")
    text, answers = texts_of(table)
    asked = "<|im_start|>user\nShout\n\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert text == f"{asked}HI<|im_end|>\n"
    assert answers == ["HI<|im_end|>\n"]


def test_only_the_assistant_s_turns_are_targets() -> None:
    text, answers = texts_of(encoded(CHATS, CHATML, messages=json.dumps(TALK)))
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi?")
    assert answers == ["Hello.<|im_end|>\n", "Because.<|im_end|>\n"]


def test_without_a_template_conversations_are_written_turn_behind_turn() -> None:
    text, answers = texts_of(encoded(CHATS, messages=json.dumps(TALK)))
    assert text == "Be brief.\n\nHi?\n\nHello.<|end|>Why?\n\nBecause.<|end|>"
    assert answers == ["Hello.<|end|>", "Because.<|end|>"]


def test_the_recipe_s_template_goes_before_the_tokenizer_s() -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    task = CHATS.model_copy(update={"chat_template": template})
    text, answers = texts_of(
        encoded(task, CHATML, messages=chat(("user", "a"), ("assistant", "b")))
    )
    assert text == "[user]a[assistant]b"
    # It does not know where an answer is asked for: the header is part of it.
    assert answers == ["[assistant]b"]


def test_all_tokens_but_the_first_may_be_targets() -> None:
    task = PAIRS.model_copy(update={"loss_on": "all"})
    text, answers = texts_of(encoded(task, prompt="Add", completion=" 3"))
    assert (text, answers) == ("Add 3<|end|>", ["dd 3<|end|>"])


def test_letters_of_several_bytes_stay_in_their_turn() -> None:
    turns = chat(
        ("user", "Gr\u00fc\u00dfe, \u4f60\u597d?"),
        ("assistant", "\u00d6l f\u00fcr \u4f60 \U0001f600"),
    )
    text, answers = texts_of(encoded(CHATS, CHATML, messages=turns))
    assert "Gr\u00fc\u00dfe, \u4f60\u597d?" in text
    assert answers == ["\u00d6l f\u00fcr \u4f60 \U0001f600<|im_end|>\n"]


def test_a_cut_answer_keeps_what_there_is_room_for() -> None:
    table = encoded(PAIRS, prompt="12345", completion="abc", max_length=7)
    assert texts_of(table) == ("12345ab", ["ab"])


@pytest.mark.parametrize("loss_on", ["completion", "all"])
@pytest.mark.parametrize("limit", [4, 5])
def test_an_answer_that_would_be_cut_away_is_refused(loss_on: str, limit: int) -> None:
    task = PAIRS.model_copy(update={"loss_on": loss_on})
    said = f"prompt is longer than max_length: 5 tokens where {limit} leave no room"
    with pytest.raises(RowError, match=said):
        encoded(task, prompt="12345", completion="abc", max_length=limit)


def test_an_empty_answer_is_refused() -> None:
    with pytest.raises(RowError, match="answer in completion is empty"):
        encoded(PAIRS, prompt="a", completion="  ")
    turns = chat(("user", "a"), ("assistant", " "))
    with pytest.raises(RowError, match="answer of the assistant is empty"):
        encoded(CHATS, CHATML, messages=turns)


def test_an_answer_whose_tokens_are_all_the_prompt_s_is_refused() -> None:
    """A tokenizer that reads a whole text as one token, which begins before the answer."""

    class Whole:
        """The byte tokenizer, whose tokens all begin where the text begins."""

        is_fast, chat_template, model_max_length = True, CHATML, 256

        def apply_chat_template(self, *given: Any, **options: Any) -> Any:
            return tokenizer(CHATML).apply_chat_template(*given, **options)

        def __call__(self, texts: list[str], **options: Any) -> Any:
            return {"input_ids": [[1] for _ in texts], "offset_mapping": [[(0, 9)] for _ in texts]}

    made: Any = Whole()
    table = pa.table({"messages": [chat(("user", "a"), ("assistant", "b"))]})
    with pytest.raises(RowError, match=r"the answer has no token of its own\. Drop the row"):
        INSTRUCTION_TUNING.encode(CHATS, made, 256, (), table)
    made.is_fast = False
    with pytest.raises(RecipeError, match=r"does not say where .* Save its fast form"):
        INSTRUCTION_TUNING.encode(CHATS, made, 256, (), table)


def test_the_row_that_is_refused_is_named() -> None:
    table = pa.table({"prompt": ["a", "b", "c"], "completion": ["x", "y", ""]})
    with pytest.raises(RowError) as refused:
        INSTRUCTION_TUNING.encode(PAIRS, tokenizer(), 64, (), table)
    assert refused.value.index == 2


def test_the_question_of_a_conversation_is_what_comes_before_its_last_answer() -> None:
    cells = pa.table({"messages": [json.dumps(TALK), json.dumps(TALK[:2])]})
    table = INSTRUCTION_TUNING.encode_inputs(CHATS, tokenizer(CHATML), 256, cells)
    first, second = [tokenizer().decode(ids) for ids in table["input_ids"].to_pylist()]
    assert first.endswith("Why?<|im_end|>\n<|im_start|>assistant\n") and "Because" not in first
    assert second.endswith("Hi?<|im_end|>\n<|im_start|>assistant\n")
    whole = encoded(CHATS, CHATML, messages=json.dumps(TALK))["input_ids"].to_pylist()[0]
    asked = table["input_ids"].to_pylist()[0]
    assert whole[: len(asked)] == asked


@pytest.mark.parametrize("template", [None, CHATML])
def test_what_is_asked_is_what_was_learnt_up_to_the_answer(template: str | None) -> None:
    cells = {"instruction": "Shout", "input": "hi", "output": "HI"}
    whole = encoded(ALPACA, template, **cells)
    inputs = pa.table({name: [cells[name]] for name in ("instruction", "input")})
    table = INSTRUCTION_TUNING.encode_inputs(ALPACA, tokenizer(template), 256, inputs)
    asked = table["input_ids"].to_pylist()[0]
    assert whole["input_ids"].to_pylist()[0][: len(asked)] == asked
    assert whole["label"].to_pylist()[0][: len(asked)] == [-100] * len(asked)
    assert whole["label"].to_pylist()[0][len(asked)] != -100
    assert table["length"].to_pylist() == [len(asked)]


def test_a_question_without_room_for_an_answer_is_refused() -> None:
    cells = pa.table({"prompt": ["12345"]})
    with pytest.raises(RowError, match="longer than max_length: 5 tokens where 5"):
        INSTRUCTION_TUNING.encode_inputs(PAIRS, tokenizer(), 5, cells)


def test_a_question_without_a_token_is_refused_beside_others_too() -> None:
    cells = pa.table({"prompt": ["12345", ""]})
    with pytest.raises(RowError, match="has no tokens, so there is nothing to answer") as caught:
        INSTRUCTION_TUNING.encode_inputs(PAIRS, tokenizer(), 64, cells)
    assert caught.value.index == 1


def test_no_rows_give_no_rows() -> None:
    none = pa.table({"prompt": pa.array([], pa.string()), "completion": pa.array([], pa.string())})
    assert INSTRUCTION_TUNING.encode(PAIRS, tokenizer(), 64, (), none).num_rows == 0
    assert INSTRUCTION_TUNING.encode(PAIRS, tokenizer(CHATML), 64, (), none).num_rows == 0
    assert INSTRUCTION_TUNING.encode_inputs(PAIRS, tokenizer(), 64, none).num_rows == 0


def test_a_template_that_is_none_is_the_recipe_s_mistake() -> None:
    task = CHATS.model_copy(update={"chat_template": "{% for %}"})
    with pytest.raises(RecipeError, match="chat_template is no Jinja template"):
        encoded(task, messages=chat(("user", "a"), ("assistant", "b")))
