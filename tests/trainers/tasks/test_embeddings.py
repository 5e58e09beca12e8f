"""Embeddings grow by the mean of what there is, tied or not, and with ZeRO-3 as without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from configs.model_sections import Model
from configs.task_sections import (
    InstructionTuning,
    SentenceEmbedding,
    Task,
    TextClassification,
    TokenClassification,
)
from tests.tiny import make_model_folder
from tests.tiny_causal import make_byte_tokenizer, make_causal_folder
from trainers.tasks import causal, functions_of
from trainers.tasks.remarks import remarks_of

TASK = InstructionTuning(kind="instruction_tuning")


def grown(folder: Path, family: str) -> tuple[Any, Any]:
    """Add two tokens to a folder's tokenizer; gives the model of the folder, and the grown one."""
    from transformers import AutoModelForCausalLM

    make_causal_folder(folder, family)
    tokenizer = make_byte_tokenizer()
    tokenizer.add_tokens(["<a>", "<b>"])
    tokenizer.save_pretrained(folder)
    before = AutoModelForCausalLM.from_pretrained(folder)
    return before, causal.build_model(Model(path=str(folder)), TASK, ())[0]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_new_rows_are_the_mean_of_the_old(tmp_path: Path, family: str) -> None:
    before, after = grown(tmp_path, family)
    had = before.config.vocab_size
    assert after.config.vocab_size == had + 2
    for kind in ("get_input_embeddings", "get_output_embeddings"):
        old, new = getattr(before, kind)().weight, getattr(after, kind)().weight
        assert new.shape[0] == had + 2
        assert torch.equal(new[:had], old)
        assert torch.equal(new[had], old.mean(0)) and torch.equal(new[had + 1], new[had])
    tied = after.get_input_embeddings().weight is after.get_output_embeddings().weight
    assert tied == (family == "gpt2")


def test_room_that_is_there_stays(tmp_path: Path) -> None:
    """Embeddings are often padded to a multiple of 64 or so."""
    from trainers.tasks.embeddings import grow_embeddings

    folder = make_causal_folder(tmp_path)
    model, *_ = causal.build_model(Model(path=str(folder)), TASK, ())
    model.resize_token_embeddings(model.config.vocab_size + 7)
    table = model.get_input_embeddings().weight
    grow_embeddings(model, make_byte_tokenizer())
    assert model.get_input_embeddings().weight is table and remarks_of(model) == ()


@pytest.mark.parametrize(
    "task",
    [
        TextClassification(kind="text_classification"),
        TokenClassification(kind="token_classification"),
        SentenceEmbedding(kind="sentence_embedding"),
    ],
)
def test_every_task_that_reads_text_has_room_for_its_tokens(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_model_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    had = len(tokenizer)
    tokenizer.add_tokens(["<e1>", "</e1>"])
    tokenizer.save_pretrained(folder)
    functions = functions_of(task)
    model, *_ = functions.build_model(Model(path=str(folder)), task, ("O", "B-x"), None)
    (told,) = remarks_of(model)
    assert f"from {had} rows to {had + 2}" in told
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == had + 2
    found = model(
        input_ids=torch.tensor([[had, had + 1]]), attention_mask=torch.ones(1, 2, dtype=torch.long)
    )
    assert bool(functions.output_of(found).isfinite().all())
