"""Embeddings grow by the mean of what there is, tied or not, and with ZeRO-3 as without."""

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.model_sections import Model
from configs.task_sections import InstructionTuning
from tests.tiny_causal import make_byte_tokenizer, make_causal_folder
from trainers.tasks import causal

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
    table = model.get_input_embeddings().weight
    grow_embeddings(model, model.config.vocab_size - 7)
    assert model.get_input_embeddings().weight is table
