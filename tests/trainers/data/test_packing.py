"""Packed rows give the logits and the loss that each row gives alone."""

from typing import Any

import pyarrow as pa
import pytest
import torch

from trainers.data.packing import pack_rows, pack_targets

ROWS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15]]


def table() -> pa.Table:
    tokens = pa.array(ROWS, pa.list_(pa.int32()))
    return pa.table({"input_ids": tokens, "targets": tokens})


def build(family: str, attention: str) -> Any:
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    small = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        config: Any = GPT2Config(**small, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    else:
        config = LlamaConfig(
            **small,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
        )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return model.eval()


def test_positions_restart_and_first_tokens_are_no_targets() -> None:
    packed = pack_rows(table().slice(0, 3))
    assert packed["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14]]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 0, 1, 2]]
    targets = pack_targets(table().slice(1, 2), "targets", -100)
    assert targets.tolist() == [[-100, 11, -100, 13, 14]]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_logits_are_those_of_each_row_alone(family: str, attention: str) -> None:
    model = build(family, attention)
    with torch.no_grad():
        packed = model(**pack_rows(table()), use_cache=False).logits[0]
        alone = [model(torch.tensor([row]), use_cache=False).logits[0] for row in ROWS]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-5, atol=1e-6)


def test_packed_loss_is_the_sum_over_the_rows() -> None:
    model = build("llama", "sdpa")
    with torch.no_grad():
        logits = model(**pack_rows(table()), use_cache=False).logits
        targets = pack_targets(table(), "targets", -100)
        packed = torch.nn.functional.cross_entropy(
            logits[0, :-1], targets[0, 1:], ignore_index=-100, reduction="sum"
        )
        alone = sum(
            torch.nn.functional.cross_entropy(
                model(torch.tensor([row]), use_cache=False).logits[0, :-1],
                torch.tensor(row[1:]),
                reduction="sum",
            )
            for row in ROWS
            if len(row) > 1
        )
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
