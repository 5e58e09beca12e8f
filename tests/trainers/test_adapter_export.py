"""Merged weights compute what adapters do, and adapters alone load with peft."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from configs.adapter_sections import Lora
from configs.freezing_sections import Freezing
from configs.schema import Model
from configs.task_sections import TextClassification
from tests.origin import NAMES, make_origin
from tests.tiny import make_model_folder
from trainers.adapter_export import adapter_difference, merge_rounding
from trainers.export import check_export, save_export
from trainers.model import draw_new_parameters
from trainers.strategy.adapters import adapter_part, add_adapters
from trainers.strategy.freezing import mark_trainable
from trainers.tasks.judging import logits_of
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.tokenizer import load_tokenizer

INPUTS = {"input_ids": torch.tensor([[7, 8, 9]]), "attention_mask": torch.ones(1, 3).long()}
AUTO = "AutoModelForSequenceClassification"
TASK = TextClassification(kind="text_classification")


def _learned(base: Path, lora: Lora) -> tuple[Any, dict[str, torch.Tensor], torch.Tensor]:
    """Load a model with adapters that add about as much as there is; gives its logits also."""
    model, head, new = build_pretrained(AUTO, Model(path=str(base)), Head(NAMES))
    adapters = add_adapters(model, lora, head)
    draw_new_parameters(model, new | adapters, 0, seed=1)
    mark_trainable(model, adapters | head)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if adapter_part(name) == "lora_B":
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.1)
            elif adapter_part(name) == "lora_magnitude_vector":
                parameter.mul_(1 + torch.rand(parameter.shape, generator=source))
            elif name in head:
                parameter.copy_(torch.randn(parameter.shape, generator=source))
        logits = model.eval()(**INPUTS).logits
    return model, {n: t.detach().clone() for n, t in model.state_dict().items()}, logits


def _saved(
    folder: Path, base: Path, lora: Lora, dtype: str | None = None
) -> tuple[Any, dict[str, torch.Tensor], torch.Tensor]:
    model, state, logits = _learned(base, lora)
    origin = make_origin(base)
    changes = {"freezing": Freezing(lora=lora), "model": Model(path=str(base), dtype=dtype)}
    origin = replace(origin, recipe=origin.recipe.model_copy(update=changes))
    save_export(folder, state, model, load_tokenizer(Model(path=str(base))), origin)
    return model, state, logits


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2"])
def test_merged_and_alone_give_the_same_logits(tmp_path: Path, kind: str, dora: bool) -> None:
    base = make_model_folder(tmp_path / "base", kind)
    lora = Lora(rank=4, dora=dora, rslora=dora)
    folder = tmp_path / "export"
    model, state, logits = _saved(folder, base, lora)
    before = {name: tensor.clone() for name, tensor in state.items()}
    assert logits.abs().max() > 0.5
    # What merging may change of a logit of size 1, and half of the least that is seen as a fault.
    assert merge_rounding(model) < 5e-5
    allowed = merge_rounding(model) * max(1.0, float(logits.abs().max()))
    assert check_export(folder, INPUTS, logits) <= allowed
    assert adapter_difference(folder / "adapter", state, model, (INPUTS, logits), logits_of) <= 1e-6
    assert all(state[name].equal(before[name]) for name in before)
    exported = load_file(folder / "model.safetensors")
    assert not [name for name in exported if "lora" in name or "base_layer" in name]
    assert "PeftModel" in (folder / "README.md").read_text()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_load_as_peft_documents_it(tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base", "roberta")  # whose head is two modules
    _, _, logits = _saved(tmp_path / "export", base, Lora(rank=4, targets=("query", "dense")))
    adapter = tmp_path / "export" / "adapter"
    assert sorted(file.name for file in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["classifier"]
    assert str(tmp_path) not in json.dumps(config)
    whole = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    loaded = PeftModel.from_pretrained(whole, adapter).eval()
    with torch.no_grad():
        assert (loaded(**INPUTS).logits - logits).abs().max() <= 1e-6
        merged = loaded.merge_and_unload()(**INPUTS).logits
    assert (merged - logits).abs().max() <= 1e-5


def test_a_hub_model_is_named_as_the_base(tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base")
    model, state, _ = _learned(base, Lora(rank=2))
    origin = make_origin("someone/some-model")
    recipe = origin.recipe.model_copy(update={"freezing": Freezing(lora=Lora(rank=2))})
    tokenizer = load_tokenizer(Model(path=str(base)))
    save_export(tmp_path / "export", state, model, tokenizer, replace(origin, recipe=recipe))
    config = json.loads((tmp_path / "export" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/some-model"
    assert AutoPeftModelForSequenceClassification  # what reads that name


def test_a_head_that_was_not_saved_does_not_go_unnoticed(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    base = make_model_folder(tmp_path / "base")
    model, state, logits = _saved(tmp_path / "export", base, Lora(rank=2))
    file = tmp_path / "export" / "adapter" / "adapter_model.safetensors"
    stored = load_file(file)
    stored["base_model.model.classifier.weight"] *= 0.9
    save_file(stored, file)
    assert adapter_difference(file.parent, state, model, (INPUTS, logits), logits_of) > 0.01


def test_half_precision_is_rounded_once_after_merging(tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base")
    _, _, logits = _saved(tmp_path / "whole", base, Lora(rank=2))
    _saved(tmp_path / "half", base, Lora(rank=2), "bfloat16")
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    half = load_file(tmp_path / "half" / "model.safetensors")
    assert all(half[name].equal(whole[name].to(torch.bfloat16)) for name in whole)
    stored = load_file(tmp_path / "half" / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    assert 0 < check_export(tmp_path / "half", INPUTS, logits) < 0.05 * logits.abs().max()
