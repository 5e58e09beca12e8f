"""One optimizer step against plain torch: any ZeRO stage and number of ranks, ragged batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from configs.errors import TrainingError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from tests.trainers.live_weights import copy_weights
from tests.trainers.ragged import LANES, make_microbatch, summed_loss, take_plain_steps
from trainers.engine import build_engine, set_learning_rate, start_distributed
from trainers.place import Place
from trainers.step import count_batch, take_step

STEPS, RATE = 3, 1e-3


def _load(folder: str) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.bert.embeddings.requires_grad_(False)
    return model.train()


def _ours(rank: int, world_size: int, recipes: list[Recipe], folder: str) -> list[Any]:
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        place = Place(rank, world_size, rank, "", "", 1, "cpu")
        engine = build_engine(_load(folder), recipe, place)
        set_learning_rate(engine, RATE)
        results = []
        for step in range(STEPS):
            mine = [make_microbatch(step, lane) for lane in range(rank, LANES, world_size)]
            counts = count_batch(mine, stop=False, commit=rank == world_size - 1)
            results.append(take_step(engine, mine, counts, summed_loss, recipe.seed))
        answers.append((results, copy_weights(engine.model, engine.stage)))
        engine.handle.destroy()
    return answers


def _plain(recipe: Recipe, folder: str) -> tuple[list[float], list[float], dict[str, Any]]:
    """Run the same steps in plain torch, the whole global batch in one process, dropout off."""
    model = _load(folder)
    losses, norms = take_plain_steps(model, recipe.optimizer, STEPS, RATE)
    return losses, norms, {n: p.detach().numpy() for n, p in model.named_parameters()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A place for recipes, and a model without dropout."""
    root = tmp_path_factory.mktemp("step")
    folder = make_model_folder(root / "classifier", num_labels=3)
    config = (folder / "config.json").read_text()
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        config = config.replace(f'"{name}": 0.1', f'"{name}": 0.0')
    (folder / "config.json").write_text(config)
    return root, str(folder)


def _recipes(root: Path) -> list[Recipe]:
    # A norm that clips: the gradients of this model are larger.
    asked = {"weight_decay": 0.05, "max_grad_norm": 0.1}
    return [tiny_recipe(root, zero={"stage": stage}, optimizer=asked) for stage in range(4)]


@pytest.mark.parametrize("world_size", [1, 2])
def test_steps_are_those_of_plain_torch(world_size: int, folders: tuple[Path, str]) -> None:
    root, folder = folders
    recipes = _recipes(root)
    losses, norms, weights = _plain(recipes[0], folder)
    assert min(norms) > 0.1
    for recipe, (results, found) in zip(
        recipes, on_ranks(world_size, _ours, recipes, folder)[0], strict=True
    ):
        stage = recipe.zero.stage
        assert [r.loss for r in results] == pytest.approx(losses, rel=1e-6), stage
        assert [r.grad_norm for r in results] == pytest.approx(norms, rel=1e-5), stage
        for name, expected in weights.items():
            np.testing.assert_allclose(
                found[name].numpy(), expected, rtol=0, atol=2e-6, err_msg=name
            )
        rows = [(step + lane) % 4 for step in range(STEPS) for lane in range(LANES)]
        assert sum(r.counts.rows for r in results) == sum(rows)
        # Ids 2^63 + 0..rows-1 of every lane: the sum wraps.
        ids = sum(row * 2**63 + row * (row - 1) // 2 for row in rows) % 2**64
        assert sum(r.counts.id_sum for r in results) % 2**64 == ids
        assert all(r.counts.commit and not r.counts.stop for r in results)


def _diverge(rank: int, world_size: int, recipe: Recipe, folder: str) -> str:
    start_distributed("cpu")
    engine = build_engine(_load(folder), recipe, Place(rank, world_size, rank, "", "", 1, "cpu"))
    mine = [make_microbatch(1, lane) for lane in range(rank, LANES, world_size)]
    counts = count_batch(mine, stop=False, commit=False)

    def broken(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
        return summed_loss(outputs, labels) * (float("nan") if rank == 1 else 1.0)

    try:
        take_step(engine, mine, counts, broken, 0)
    except TrainingError as error:
        return str(error)
    return "went on"


def test_a_loss_that_is_not_finite_on_one_rank_fails_all(folders: tuple[Path, str]) -> None:
    root, folder = folders
    said = on_ranks(2, _diverge, _recipes(root)[2], folder)
    assert all("the loss is nan" in each and "epoch 0, step 1" in each for each in said)
