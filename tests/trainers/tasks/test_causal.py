"""What language models share: batches, loss, answers, the model that is built."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_sections import InstructionTuning
from tests.tiny_causal import FAMILIES, make_byte_tokenizer, make_causal_folder
from trainers.tasks import causal
from trainers.tasks.continuations import Written
from trainers.tasks.judging import Batching, Fed, Sample, Setting

TASK = InstructionTuning(kind="instruction_tuning")
PADDED = Batching(0, 64, 1, 0)
PACKED = Batching(0, 64, 1, 0, packing=True)
IDS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
# The first row's answer are its last two tokens, the second's the last, the third's two again.
LABELS = [[-100, -100, -100, 8, 9], [-100, 11], [-100, 13, 14]]


def shard(labels: bool = True) -> pa.Table:
    return causal.as_shard(IDS, LABELS if labels else None)


def opened(texts: list[str]) -> list[list[int]]:
    """Open rows with a tokenizer that puts tokens both before and behind a text."""
    from tokenizers import processors

    tokenizer = make_byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|end|>", special_tokens=[("<|im_start|>", 1), ("<|end|>", 0)]
    )
    return causal.opening(tokenizer, texts)


def test_a_row_opens_with_what_the_tokenizer_puts_before_a_text() -> None:
    (a,) = causal.following(make_byte_tokenizer(), ["ab"])
    assert opened(["ab", "a"]) == [[1, *a], [1, a[0]]]
    assert causal.opening(make_byte_tokenizer(), ["ab"]) == [a]


def test_one_end_token_follows() -> None:
    tokenizer = make_byte_tokenizer()
    assert causal.ended(tokenizer, [7]) == causal.ended(tokenizer, [7, 0]) == [7, 0]


def test_padded_rows_have_a_label_for_each_token() -> None:
    inputs, labels = causal.collate(TASK, PADDED)(shard())
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9], [10, 11, 0, 0, 0], [12, 13, 14, 0, 0]]
    assert inputs["attention_mask"].sum(1).tolist() == [5, 2, 3]
    assert labels.tolist() == [
        [-100, -100, -100, 8, 9],
        [-100, 11, -100, -100, -100],
        [-100, 13, 14, -100, -100],
    ]
    _, without = causal.collate(TASK, PADDED)(shard(labels=False))
    assert (without == -100).all() and without.shape == (3, 5)


def test_packed_rows_stand_behind_each_other() -> None:
    inputs, labels = causal.collate(TASK, PACKED)(shard().slice(0, 2))
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10, 11]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    assert labels.tolist() == [[-100, -100, -100, 8, 9, -100, 11]]


def test_the_loss_at_a_token_is_that_of_the_next() -> None:
    """Two tokens, the second a target: softmax of (0, log 3) gives it 3/4."""
    logits = torch.tensor([[[0.0, math.log(3)], [9.0, 0.0]]])
    labels = torch.tensor([[-100, 1]])
    loss = causal.summed_loss(SimpleNamespace(logits=logits), labels)
    assert loss.item() == pytest.approx(-math.log(3 / 4))
    half = causal.summed_loss(SimpleNamespace(logits=logits.bfloat16()), labels)
    assert half.dtype == torch.float32


def test_without_targets_the_loss_is_0_and_moves_nothing() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = causal.summed_loss(SimpleNamespace(logits=logits), torch.full((2, 3), -100))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_answers_hold_what_adds_up() -> None:
    logits = torch.zeros(3, 5, 20)  # where nothing is set the likeliest token is 0, no target
    _, labels = causal.collate(TASK, PADDED)(shard())
    logits[0, 2, 8] = logits[1, 0, 11] = 50.0  # foretell 8 behind 7, and 11 behind 10
    setting = Setting(TASK, (), "cpu", make_byte_tokenizer)
    outputs = SimpleNamespace(logits=logits)
    given = causal.answer(setting, Fed({}, labels, outputs))
    assert given.targets.tolist() == [2, 1, 2]
    assert given.hits.tolist() == [1, 1, 0]
    torch.testing.assert_close(given.losses.sum().float(), causal.summed_loss(outputs, labels))


def test_samples_show_what_was_written_of_rows_with_targets() -> None:
    written = Written({0: "red", 2: ""}, ["colour?", "b", "c"], {0: "blue", 2: "d"})
    counts = torch.tensor([1, 1, 0])
    given = causal.Answer(counts.double(), counts, counts, written)
    setting = Setting(TASK, (), "cpu", make_byte_tokenizer)
    fed = Fed({}, torch.zeros(3, 1), None)
    assert causal.samples(setting, fed, given) == [Sample("colour?", "blue", "red")]
    texts = Written({0: "a", 1: "b", 2: "c"}, [], {})
    every = causal.Answer(counts.double(), counts, counts, texts)
    assert causal.predictions(setting, every) == {"prediction": ["a", "b", "c"]}


def build(folder: Path, **changes: Any) -> Any:
    model, head, new = causal.build_model(Model(path=str(folder), **changes), TASK, ())
    assert head == new == frozenset()
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_have_the_loss_of_padded_ones(tmp_path: Path, family: str) -> None:
    """As training feeds them; with a cache the rows would see each other."""
    model = build(make_causal_folder(tmp_path, family))
    losses = []
    for batching in (PADDED, PACKED):
        inputs, labels = causal.collate(TASK, batching)(shard())
        with torch.no_grad():
            losses.append(causal.summed_loss(model(**inputs), labels))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0)
    plain, _ = causal.collate(TASK, PACKED)(shard())
    with torch.no_grad():
        cached = causal.summed_loss(model(**plain, use_cache=True), labels)
    assert abs(cached - losses[0]) > 1e-5  # transformers has not mended it


def test_a_folder_without_output_embeddings_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = make_causal_folder(tmp_path / "whole", "llama")
    base = AutoModel.from_pretrained(folder)
    base.save_pretrained(tmp_path / "base")
    make_byte_tokenizer().save_pretrained(tmp_path / "base")
    with pytest.raises(RecipeError, match=r"lacks lm_head\.weight, so it cannot write text"):
        build(tmp_path / "base")


def test_a_model_from_scratch_needs_no_weights(tmp_path: Path) -> None:
    folder = make_causal_folder(tmp_path, "gpt2")
    (folder / "model.safetensors").unlink()
    assert build(folder, from_scratch=True).config.model_type == "gpt2"
