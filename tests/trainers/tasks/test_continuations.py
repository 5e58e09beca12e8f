"""From where in a row a text is written anew, where it ends, and what it is compared with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_fields import Generation
from configs.task_sections import InstructionTuning, LanguageModeling
from tests.tiny_causal import CHATML, make_byte_tokenizer, make_causal_folder
from trainers.tasks import causal
from trainers.tasks.continuations import Written, start_of, write
from trainers.tasks.judging import Fed, Setting

CHAT = InstructionTuning(kind="instruction_tuning")
PLAIN = LanguageModeling(kind="language_modeling")


def test_the_last_answer_is_written_anew() -> None:
    labels = torch.tensor([-100, 1, 2, -100, -100, 5, 6, -100, -100])
    assert start_of(CHAT, labels, 7) == 5
    assert start_of(CHAT, labels, 3) == 1
    assert start_of(CHAT, torch.full((4,), -100), 4) == 4


def test_the_second_half_of_a_plain_text_is_written_anew() -> None:
    assert start_of(PLAIN, torch.tensor([-100, 1, 2, 3, 4]), 5) == 3
    assert start_of(PLAIN, torch.tensor([-100, 1]), 2) == 1


def written(most: int, answers: dict[str, str], fed: Fed) -> tuple[Written, list[str]]:
    """Let a model of `most` positions write fixed answers; gives what it was asked, too."""
    from transformers import LlamaConfig

    tokenizer, asked = make_byte_tokenizer(), []

    def generate(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        asked.extend(tokenizer.decode(ids[mask.bool()]) for ids, mask in rows)
        made = [torch.tensor(tokenizer(answers[text])["input_ids"]) for text in asked]
        return torch.nn.utils.rnn.pad_sequence(made, batch_first=True)

    writer: Any = generate
    writer.model = SimpleNamespace(config=LlamaConfig(max_position_embeddings=most))
    writer.together = False
    task = CHAT.model_copy(update={"generation": Generation(max_new_tokens=4)})
    return write(Setting(task, (), "cpu", lambda: tokenizer, writer), fed), asked


def rows(*pairs: tuple[str, str]) -> Fed:
    tokenizer, ids, labels = make_byte_tokenizer(), [], []
    for prompt, told in pairs:
        first, second = (tokenizer(text)["input_ids"] for text in (prompt, told))
        ids.append(torch.tensor([*first, *second]))
        labels.append(torch.tensor([-100] * len(first) + second))
    masks = [torch.ones_like(row) for row in ids]

    def padded(values: list[torch.Tensor], fill: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=fill)

    inputs = {"input_ids": padded(ids, 0), "attention_mask": padded(masks, 0)}
    chosen = torch.tensor([True, False, True])
    return Fed(inputs, padded(labels, -100), None, chosen)


def test_a_text_follows_its_prompt_alone() -> None:
    fed = rows(("abcdef", "yes"), ("b", "no"), ("c?", " why"))
    found, asked = written(64, {"abcdef": "yes", "c?": "wh"}, fed)
    assert asked == ["abcdef", "c?"]
    assert found.texts == {0: "yes", 2: "wh"}
    assert found.expected == {0: "yes", 2: "why"}
    assert found.prompts == ["abcdef", "b", "c?"]


def test_a_long_prompt_leaves_room_for_what_is_written() -> None:
    """Of six positions four are for new tokens: the last two of a prompt stay."""
    fed = rows(("abcdef", "yes"), ("b", "no"), ("c?", " why"))
    _, asked = written(6, {"ef": "", "c?": ""}, fed)
    assert asked == ["ef", "c?"]


def test_where_no_text_is_asked_for_none_is_written() -> None:
    silent = Setting(CHAT, (), "cpu", make_byte_tokenizer)
    assert write(silent, rows(("a", "b"))) == Written({}, [], {})


def test_the_end_of_a_turn_ends_what_is_written(tmp_path: Path) -> None:
    ends = []
    for name, template in (("plain", None), ("chat", CHATML)):
        folder = make_causal_folder(tmp_path / name, "llama", template)
        model, *_ = causal.build_model(Model(path=str(folder)), CHAT, ())
        ends.append(model.generation_config.eos_token_id)
    im_end = make_byte_tokenizer().convert_tokens_to_ids("<|im_end|>")
    assert ends == [0, [0, im_end]]


def test_more_new_tokens_than_positions_are_refused(tmp_path: Path) -> None:
    folder = make_causal_folder(tmp_path)
    task = CHAT.model_copy(update={"generation": Generation(max_new_tokens=128)})
    with pytest.raises(RecipeError, match=r"max_new_tokens is 128 .* has 128 positions"):
        causal.build_model(Model(path=str(folder)), task, ())
