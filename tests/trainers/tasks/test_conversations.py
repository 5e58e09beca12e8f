"""Turns are checked, written with a template, and answers found in what it writes."""

import json
from typing import Any

import pytest

from tests.tiny_causal import CHATML, make_byte_tokenizer
from trainers.tasks.conversations import (
    check_turns,
    question,
    read_turns,
    write_dialogue,
    write_question,
)
from trainers.tasks.refusals import RowError

# As reasoning models have it: what was thought is left out as soon as another turn follows.
FORGETFUL = (
    "{% for m in messages %}<{{ m.role }}>"
    "{% if loop.last and m.role == 'assistant' %}(thought){% endif %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def turns(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": f"{role} {place}"} for place, role in enumerate(roles)]


@pytest.mark.parametrize("roles", ["ua", "sua", "uaua", "suauaua"])
def test_turns_in_order_are_taken(roles: str) -> None:
    names = {"s": "system", "u": "user", "a": "assistant"}
    check_turns(0, turns(*(names[letter] for letter in roles)))


@pytest.mark.parametrize(
    "roles", ["", "s", "u", "a", "au", "uu", "uau", "uaa", "usa", "ssua", "sa"]
)
def test_turns_out_of_order_are_refused(roles: str) -> None:
    names = {"s": "system", "u": "user", "a": "assistant"}
    with pytest.raises(RowError, match=r"the roles are .*the assistant last") as refused:
        check_turns(5, turns(*(names[letter] for letter in roles)))
    assert refused.value.index == 5


@pytest.mark.parametrize(
    "cell",
    [
        "not json",
        '{"role": "user", "content": "a"}',
        '["a"]',
        '[{"role": "user"}]',
        '[{"role": "tool", "content": "a"}]',
        '[{"role": "user", "content": 3}]',
    ],
)
def test_what_is_no_conversation_is_refused(cell: str) -> None:
    with pytest.raises(RowError, match=r"not a list of \{role, content\}"):
        read_turns(0, cell)


def test_what_else_a_turn_holds_is_left_out() -> None:
    cell = json.dumps([{"role": "user", "content": "a", "weight": 1}])
    assert read_turns(0, cell) == [{"role": "user", "content": "a"}]


def test_a_question_ends_with_the_user() -> None:
    whole = turns("user", "assistant")
    assert question(0, whole) == question(0, whole[:1]) == whole[:1]
    with pytest.raises(RowError, match="the roles are"):
        question(0, turns("assistant"))


def written(template: str, *roles: str) -> Any:
    return write_dialogue(make_byte_tokenizer(), template, 3, turns(*roles))


def test_answers_are_found_in_the_whole_text() -> None:
    dialogue = written(CHATML, "system", "user", "assistant", "user", "assistant")
    found = [dialogue.text[first:stop] for first, stop in dialogue.answers]
    assert found == ["assistant 2<|im_end|>\n", "assistant 4<|im_end|>\n"]
    asked = write_question(make_byte_tokenizer(), CHATML, 0, turns("user"))
    assert asked == "<|im_start|>user\nuser 0<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_that_changes_earlier_turns_is_refused() -> None:
    with pytest.raises(RowError, match="in another way when more turns follow") as refused:
        written(FORGETFUL, "user", "assistant", "user", "assistant")
    assert refused.value.index == 3
    one = written(FORGETFUL, "user", "assistant")  # nothing follows: it can be told
    assert [one.text[a:b] for a, b in one.answers] == ["(thought)assistant 1"]


def test_what_a_template_says_to_a_conversation_is_passed_on() -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    with pytest.raises(RowError, match="the chat template refuses the conversation: no system"):
        written(strict, "system", "user", "assistant")
