"""One optimizer step against plain torch: any ZeRO stage and number of ranks, ragged batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from configs.errors import TrainingError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from trainers.data.batches import Microbatch
from trainers.engine import build_engine, gathered, set_learning_rate, start_distributed
from trainers.place import Place
from trainers.step import count_batch, take_step
from trainers.strategy.learning_rates import parameter_groups

LANES, STEPS, RATE = 4, 3, 1e-3


def _microbatch(step: int, lane: int) -> Microbatch:
    """Make a microbatch whose size and length differ from lane to lane; one of them is empty."""
    source = torch.Generator().manual_seed(step * 1000 + lane)
    rows, length = (step + lane) % 4, 5 + (step * 3 + lane) % 7
    fed = max(1, rows)
    labels = torch.randint(0, 3, (fed,), generator=source)
    if rows == 0:
        labels.fill_(-100)
    return Microbatch(
        lane=lane,
        epoch=0,
        step=step,
        inputs={"input_ids": torch.randint(5, 30, (fed, length), generator=source)},
        labels=labels,
        row_ids=np.arange(rows, dtype=np.uint64) + np.uint64(2**63),
        sources=np.zeros(rows, np.int16),
        num_rows=rows,
        num_targets=rows,
        num_tokens=rows * length,
        num_fed_tokens=fed * length,
    )


def _summed_loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.logits, labels, reduction="sum", ignore_index=-100)


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
            mine = [_microbatch(step, lane) for lane in range(rank, LANES, world_size)]
            counts = count_batch(mine, stop=False, commit=rank == world_size - 1)
            results.append(take_step(engine, mine, counts, _summed_loss, recipe.seed))
        weights = {}
        for name, parameter in engine.model.named_parameters():
            with gathered(engine.stage, parameter):
                weights[name] = parameter.detach().clone().numpy()
        answers.append((results, weights))
        engine.handle.destroy()
    return answers


def _plain(recipe: Recipe, folder: str) -> tuple[list[float], list[float], dict[str, Any]]:
    """Run the same steps in plain torch, the whole global batch in one process, dropout off."""
    model = _load(folder)
    groups = parameter_groups(model, recipe.optimizer)
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=recipe.optimizer.betas)
    losses, norms = [], []
    for step in range(STEPS):
        microbatches = [_microbatch(step, lane) for lane in range(LANES)]
        targets = sum(m.num_targets for m in microbatches)
        loss = sum(_summed_loss(model(**m.inputs), m.labels) for m in microbatches) / targets
        loss.backward()
        learning = [p for p in model.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(learning, recipe.optimizer.max_grad_norm)
        norms.append(float(norm))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
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
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-6, err_msg=name)
        rows = [(step + lane) % 4 for step in range(STEPS) for lane in range(LANES)]
        assert sum(r.counts.rows for r in results) == sum(rows)
        # Ids 2^63 + 0..rows-1 of every lane: the sum wraps.
        ids = sum(row * 2**63 + row * (row - 1) // 2 for row in rows) % 2**64
        assert sum(r.counts.id_sum for r in results) % 2**64 == ids
        assert all(r.counts.commit and not r.counts.stop for r in results)


def _diverge(rank: int, world_size: int, recipe: Recipe, folder: str) -> str:
    start_distributed("cpu")
    engine = build_engine(_load(folder), recipe, Place(rank, world_size, rank, "", "", 1, "cpu"))
    mine = [_microbatch(1, lane) for lane in range(rank, LANES, world_size)]
    counts = count_batch(mine, stop=False, commit=False)

    def broken(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
        return _summed_loss(outputs, labels) * (float("nan") if rank == 1 else 1.0)

    try:
        take_step(engine, mine, counts, broken, 0)
    except TrainingError as error:
        return str(error)
    return "went on"


def test_a_loss_that_is_not_finite_on_one_rank_fails_all(folders: tuple[Path, str]) -> None:
    root, folder = folders
    said = on_ranks(2, _diverge, _recipes(root)[2], folder)
    assert all("the loss is nan" in each and "epoch 0, step 1" in each for each in said)
