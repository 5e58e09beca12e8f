"""A model with and without its prefix: the same parameters count, the same modules rest."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import RecipeError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny_images import make_image_model
from trainers.engine import feed, start_distributed
from trainers.live_model import LiveModel
from trainers.place import Place

LABELS = ("label-0", "label-1", "label-2")
INPUTS = {"input_ids": torch.tensor([[2, 5, 6, 3]]), "attention_mask": torch.ones(1, 4).long()}


def _look(live: LiveModel) -> Iterator[torch.Tensor]:
    for _ in range(2):
        yield torch.as_tensor(live.module(**INPUTS).logits.sum())


def _take_out_and_put_back(rank: int, world_size: int, recipe: Recipe) -> None:
    start_distributed("cpu")
    live = LiveModel(recipe, Place(rank, world_size, rank, "", "", 1, "cpu"), LABELS)
    head = live.head
    look = partial(_look, live)
    prefix = live.build(head, dict.fromkeys(head, 0), head, look)
    assert prefix is not None
    assert prefix.depth == 2
    counts, hashes = live.count_parameters(), dict(live.hashes)
    assert counts[0] == sum(p.numel() for n, p in live.module.named_parameters() if n in head)
    names = {name for name, _ in live.module.named_parameters()}
    assert set(hashes) == names - head
    resting = {name for name, module in live.module.named_modules() if not module.training}
    assert "bert.encoder.layer.1.output.dropout" in resting
    assert not {"dropout", "bert.pooler", "bert"} & resting

    engine = live.engine
    assert not live.take_out(prefix, lambda: False)
    assert live.is_whole
    assert live.engine is not engine
    assert {name for name, _ in live.module.named_parameters()} == names

    assert live.take_out(prefix, lambda: True)
    assert not live.is_whole
    assert {name for name, _ in live.module.named_parameters()} < names
    assert live.count_parameters() == counts
    assert live.frozen_unchanged()
    recorded = torch.from_numpy(np.ones((1, 4, 32), np.float32))
    logits = feed(live.engine, INPUTS, recorded).logits
    assert not logits.equal(feed(live.engine, INPUTS, recorded * 2).logits)

    with torch.no_grad():
        live.module.bert.pooler.dense.bias.add_(1.0)
    assert not live.frozen_unchanged()
    live.hash_again()
    assert live.frozen_unchanged()
    every = frozenset(names)
    assert live.build(every, dict.fromkeys(every, 0), every, look) is None
    assert live.is_whole
    assert live.hashes == {}


def test_a_prefix_is_taken_out_and_put_back(tmp_path: Path) -> None:
    on_ranks(1, _take_out_and_put_back, tiny_recipe(tmp_path))


def test_batch_norms_are_not_fed_in_parts(tmp_path: Path) -> None:
    model = str(make_image_model(tmp_path / "resnet", "resnet"))
    recipe = tiny_recipe(
        tmp_path,
        model={"path": model},
        task={"kind": "image_classification"},
        faults={"feed_parts": 2},
    )
    with pytest.raises(RecipeError, match="feed_parts is 2 but the model has batch norms"):
        LiveModel(recipe, Place(0, 1, 0, "", "", 1, "cpu"), LABELS)
