"""Write conversations as text and find the answers in it; tokens are the task's.

The text is the chat template's, whole. Where an answer stands in it is found by rendering what
comes before it, and what goes up to its end: both must be beginnings of the whole.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from trainers.tasks.refusals import RowError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = dict[str, str]
"""Has `role` and `content`."""
ROLES = ("system", "user", "assistant")
PLAIN = (
    "{% for message in messages %}{{ message.content }}"
    "{{ eos_token if message.role == 'assistant' else '\\n\\n' }}{% endfor %}"
)
"""Template where neither recipe nor tokenizer has one: a blank line after what is no answer."""


@dataclass(frozen=True)
class Dialogue:
    """A conversation as text."""

    text: str
    answers: tuple[tuple[int, int], ...]
    """First character of each answer and the one behind its last, its end token included."""


def read_turns(index: int, cell: str) -> list[Turn]:
    """Read a conversation from JSON; raises RowError where its turns are not as they must be."""
    try:
        turns = json.loads(cell)
    except ValueError:
        turns = None
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        raise RowError(
            index,
            "the conversation is not a list of {role, content} with two texts each. Write it as "
            '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]',
        )
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def check_turns(index: int, turns: list[Turn]) -> None:
    """Raise RowError for a conversation to learn from that is not one.

    A system turn may come first; user and assistant take turns, and the last word is the
    assistant's.
    """
    roles = [turn["role"] for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    expected = [("user", "assistant")[place % 2] for place in range(len(spoken))]
    if spoken != expected or len(spoken) % 2 or not spoken:
        raise RowError(
            index,
            f"the roles are {', '.join(roles) or 'none'}. Let user and assistant take turns, the "
            "assistant last, with a system turn at most before them",
        )
    for turn in turns:
        if turn["role"] == "assistant" and not turn["content"].strip():
            raise RowError(index, "an answer of the assistant is empty. Fill it in or drop the row")


def question(index: int, turns: list[Turn]) -> list[Turn]:
    """Leave out the answer that a conversation ends with, so that it can be answered anew."""
    kept = turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns
    answered = [*kept, {"role": "assistant", "content": "-"}]
    check_turns(index, answered)
    return kept


def write_dialogue(
    processor: "PreTrainedTokenizerBase", template: str | None, index: int, turns: list[Turn]
) -> Dialogue:
    """Write a conversation with a template, by default the tokenizer's, and find its answers.

    Raises RowError where the template refuses the turns, or changes what stood before a turn.
    """
    text = _render(processor, template, index, turns)
    answers = []
    for place, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        before = write_question(processor, template, index, turns[:place])
        is_last = place == len(turns) - 1
        upto = text if is_last else _render(processor, template, index, turns[: place + 1])
        if not (text.startswith(before) and text.startswith(upto) and len(before) < len(upto)):
            raise RowError(
                index,
                f"the chat template writes the turns before turn {place + 1} in another way when "
                "more turns follow, so that nobody knows which tokens are the answer. Give "
                "task.chat_template one that writes each turn behind the other",
            )
        answers.append((len(before), len(upto)))
    return Dialogue(text, tuple(answers))


def write_question(
    processor: "PreTrainedTokenizerBase", template: str | None, index: int, turns: list[Turn]
) -> str:
    """Write a conversation up to where the assistant is to speak."""
    return _render(processor, template, index, turns, add_generation_prompt=True)


def _render(
    processor: "PreTrainedTokenizerBase",
    template: str | None,
    index: int,
    turns: list[Turn],
    **options: Any,
) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError

    chosen = template or processor.chat_template or PLAIN
    try:
        return str(
            processor.apply_chat_template(turns, chat_template=chosen, tokenize=False, **options)
        )
    except TemplateSyntaxError as error:
        raise RecipeError(
            f"task.chat_template is no Jinja template: {error.message} (line {error.lineno}). "
            "Correct it"
        ) from error
    except TemplateError as error:
        raise RowError(
            index,
            f"the chat template refuses the conversation: {error}. Change the row, or give "
            "task.chat_template another",
        ) from error


def _is_turn(turn: object) -> bool:
    if not isinstance(turn, dict):
        return False
    return turn.get("role") in ROLES and isinstance(turn.get("content"), str)
