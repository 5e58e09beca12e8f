"""A frozen prefix is found in any architecture, and a recording in its place changes no bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from trainers.strategy.prefix import Capture, Prefix, find_layout, find_prefix, rest, take_out

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_labels": 3,
}
WORDS = {**SMALL, "vocab_size": 100, "pad_token_id": 0}
IDS = torch.randint(5, 99, (3, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.ones_like(IDS)
MASK[1, 6:] = 0
TEXT = {"input_ids": IDS * MASK, "attention_mask": MASK}
IMAGES = {"pixel_values": torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


def _distilbert() -> Any:
    config = hf.DistilBertConfig(
        dim=32, n_layers=4, n_heads=4, hidden_dim=64, vocab_size=100, num_labels=3
    )
    return hf.DistilBertForSequenceClassification(config)


def _gpt2() -> Any:
    config = hf.GPT2Config(
        n_embd=32, n_layer=4, n_head=4, vocab_size=100, num_labels=3, pad_token_id=0
    )
    return hf.GPT2ForSequenceClassification(config)


def _vit() -> Any:
    return hf.ViTForImageClassification(hf.ViTConfig(**SMALL, image_size=32, patch_size=8))


def _resnet() -> Any:
    config = hf.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64, 64],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        num_labels=3,
    )
    return hf.ResNetForImageClassification(config)


MODELS: dict[str, tuple[Callable[[], Any], dict[str, torch.Tensor]]] = {
    "bert": (lambda: hf.BertForSequenceClassification(hf.BertConfig(**WORDS)), TEXT),
    "roberta": (lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**WORDS)), TEXT),
    "distilbert": (_distilbert, TEXT),
    "gpt2": (_gpt2, TEXT),
    "llama": (
        lambda: hf.LlamaForSequenceClassification(hf.LlamaConfig(**WORDS, num_key_value_heads=2)),
        TEXT,
    ),
    "vit": (_vit, IMAGES),
    "resnet": (_resnet, IMAGES),
}


def _learning(model: nn.Module, list_name: str, frozen_blocks: int) -> set[str]:
    """Name what stands behind the frozen blocks."""
    names = [name for name, _ in model.named_parameters()]
    first = next(
        (i for i, n in enumerate(names) if n.startswith(f"{list_name}.{frozen_blocks}.")), None
    )
    if first is None:
        return {names[-1], *(n for n in names if n.startswith(("classifier", "score")))}
    return set(names[first:])


@pytest.mark.parametrize("kind", list(MODELS))
@pytest.mark.parametrize("depth", [2, 4])
def test_a_recording_changes_no_bit(kind: str, depth: int) -> None:
    build, inputs = MODELS[kind]
    torch.manual_seed(0)
    model = build().eval()
    layout = find_layout(model, lambda: model(**inputs))
    assert layout is not None
    assert layout.num_blocks == 4
    prefix = find_prefix(model, layout, _learning(model, layout.list_name, depth))
    assert prefix == Prefix(layout, depth)
    with torch.no_grad():
        expected = model(**inputs).logits
        capture = Capture(model, prefix, stop=True)
        values = capture.run(lambda: model(**inputs))
        capture.close()
        size = sum(p.numel() for p in model.parameters())
        standin = take_out(model, prefix, torch.device("cpu"))
        standin.box.values = values
        assert torch.equal(model(**inputs).logits, expected)
        left = sum(p.numel() for p in model.parameters())
        standin.box.values = torch.zeros_like(values)
        assert not torch.equal(model(**inputs).logits, expected)
        standin.put_back()
        assert torch.equal(model(**inputs).logits, expected)
    parked = sum(p.numel() for module in standin.parked.values() for p in module.parameters())
    assert left == size - parked
    # What reads the input is gone as well as the blocks.
    assert len(standin.parked) > depth


def test_what_learns_below_ends_the_prefix() -> None:
    build, inputs = MODELS["bert"]
    model = build()
    layout = find_layout(model, lambda: model(**inputs))
    assert layout is not None
    names = {name for name, _ in model.named_parameters()}
    for learning, depth in (
        ({"classifier.weight"}, 4),
        ({"bert.pooler.dense.weight"}, 4),
        ({"bert.encoder.layer.3.output.dense.bias"}, 3),
        ({"bert.encoder.layer.1.output.dense.bias", "classifier.weight"}, 1),
        ({"bert.encoder.layer.0.output.dense.bias"}, None),
        ({"bert.embeddings.LayerNorm.weight"}, None),
        (names, None),
    ):
        prefix = find_prefix(model, layout, learning)
        assert (prefix.depth if prefix is not None else None) == depth, learning


def test_a_weight_that_is_used_twice_counts_where_it_is_used_first() -> None:
    config = hf.GPT2Config(n_embd=32, n_layer=4, n_head=4, vocab_size=100)
    model = hf.GPT2LMHeadModel(config)
    layout = find_layout(model, lambda: model(**TEXT))
    assert layout is not None
    assert model.lm_head.weight is model.transformer.wte.weight
    assert find_prefix(model, layout, {"lm_head.weight"}) is None
    assert find_prefix(model, layout, {"transformer.h.2.ln_1.weight"}) == Prefix(layout, 2)


def test_dropout_rests_in_the_prefix_alone() -> None:
    build, inputs = MODELS["gpt2"]
    model = build()
    layout = find_layout(model, lambda: model(**inputs))
    assert layout is not None
    model.train()
    rest(model, Prefix(layout, 2))
    training = {name for name, module in model.named_modules() if module.training}
    # Also what holds no weight of its own.
    assert not {"transformer.drop", "transformer.wte", "transformer.h.1.attn"} & training
    assert {"transformer.h.2", "transformer.h.3.attn.attn_dropout", "transformer"} <= training


def test_blocks_that_do_not_run_one_after_another_are_no_prefix() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, values: torch.Tensor) -> Any:
            return self.layers[2](self.layers[0](values))

    model, values = Odd(), torch.zeros(1, 4)
    assert find_layout(model, lambda: model(values)) is None
    plain = nn.Linear(4, 4)
    assert find_layout(plain, lambda: plain(values)) is None
