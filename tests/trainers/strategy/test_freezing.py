"""Which parameters learn."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from configs.errors import RecipeError
from configs.freezing_sections import Learning
from tests.tiny import make_model_folder
from trainers.strategy.freezing import (
    choose_trainable,
    find_blocks,
    frozen_hashes,
    mark_trainable,
)

HEAD = {"bert": "classifier", "distilbert": "classifier", "gpt2": "score", "roberta": "classifier"}
BLOCKS = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "gpt2": "transformer.h",
}


def _model(folder: Path, kind: str, layers: int = 3) -> PreTrainedModel:
    path = make_model_folder(folder / kind, kind=kind, layers=layers, num_labels=3)
    return AutoModelForSequenceClassification.from_pretrained(path)


def _head(model: nn.Module, kind: str) -> frozenset[str]:
    names = (name for name, _ in model.named_parameters())
    return frozenset(name for name in names if name.startswith(HEAD[kind]))


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_blocks_are_found_by_shape_not_by_name(kind: str, tmp_path: Path) -> None:
    name, blocks = find_blocks(_model(tmp_path, kind))
    assert (name, len(blocks)) == (BLOCKS[kind], 3)


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_the_last_block_and_what_is_behind_it_learn(kind: str, tmp_path: Path) -> None:
    model = _model(tmp_path, kind)
    chosen = choose_trainable(model, Learning(mode="partial", last=1), _head(model, kind))
    names = [name for name, _ in model.named_parameters()]
    first = next(i for i, name in enumerate(names) if name.startswith(f"{BLOCKS[kind]}.2."))
    # Everything from the last block on, in the order of the model, and nothing before it.
    assert chosen == frozenset(names[first:])


def test_head_is_only_what_is_new(tmp_path: Path) -> None:
    model = _model(tmp_path, "bert")
    head = _head(model, "bert")
    assert choose_trainable(model, Learning(mode="head"), head) == head


def test_patterns_choose_parameters_and_embeddings_are_named(tmp_path: Path) -> None:
    model = _model(tmp_path, "bert")
    head = _head(model, "bert")
    chosen = choose_trainable(model, Learning(mode="partial", train=(r"\.bias$",)), head)
    biases = {name for name, _ in model.named_parameters() if name.endswith(".bias")}
    assert chosen == biases | head
    embeddings = choose_trainable(model, Learning(mode="partial", embeddings=True), head)
    assert embeddings == head | {
        name for name, _ in model.named_parameters() if name.startswith("bert.embeddings.")
    }
    without = choose_trainable(model, Learning(mode="full", embeddings=False), head)
    assert {name for name, _ in model.named_parameters()} - without == embeddings - head


def test_a_pattern_that_matches_nothing_names_the_nearest(tmp_path: Path) -> None:
    model = _model(tmp_path, "bert")
    with pytest.raises(RecipeError, match=r"matches no parameter.*classifier"):
        choose_trainable(model, Learning(mode="partial", train=("clasifier.weight",)), frozenset())


def test_more_blocks_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"freezing.last is 99 but .* has 3 blocks"):
        choose_trainable(_model(tmp_path, "bert"), Learning(mode="partial", last=99), frozenset())


def test_a_model_without_blocks_and_one_without_a_head() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(RecipeError, match="no list of like modules"):
        find_blocks(model)
    with pytest.raises(RecipeError, match="no parameter that learns"):
        choose_trainable(model, Learning(mode="head"), frozenset())


def test_marking_and_hashing() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    mark_trainable(model, frozenset({"1.weight"}))
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, False]
    before = frozen_hashes(model)
    assert set(before) == {"0.weight", "0.bias", "1.bias"}
    with torch.no_grad():
        model[1].weight.add_(1.0)
        assert frozen_hashes(model) == before
        model[0].bias[0] += 1e-7
    assert {name for name in before if frozen_hashes(model)[name] != before[name]} == {"0.bias"}
