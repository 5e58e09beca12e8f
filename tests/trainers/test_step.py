"""One optimizer step against plain torch: any ZeRO stage and number of ranks, ragged batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from tests.trainers.live_weights import copy_weights
from tests.trainers.ragged import LANES, make_microbatch, summed_loss, take_plain_steps
from trainers.engine import build_engine, set_learning_rate, start_distributed
from trainers.partitions import local_pieces
from trainers.place import Place
from trainers.step import SummedLoss, count_batch, take_step

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


def _broken(kind: str, rank: int) -> SummedLoss:
    """Give a loss with which something is wrong on rank 1."""

    def loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
        if kind == "gradient" and rank == 1:
            outputs.logits.register_hook(lambda gradient: gradient * float("inf"))
        factor = float(kind) if kind in ("nan", "inf") and rank == 1 else 1.0
        return summed_loss(outputs, labels) * factor

    return loss


def _in_trouble(
    rank: int, world_size: int, recipes: list[Recipe], folder: str, steps: list[tuple[str, int]]
) -> list[Any]:
    """Take steps, good ones and others, with an engine of each recipe; gives all that it holds."""
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        engine = build_engine(
            _load(folder), recipe, Place(rank, world_size, rank, "", "", 1, "cpu")
        )
        set_learning_rate(engine, RATE)
        results = []
        for kind, step in steps:
            mine = [make_microbatch(step, lane) for lane in range(rank, LANES, world_size)]
            counts = count_batch(mine, stop=False, commit=False)
            most_loss = 1e-3 if kind == "spike" else float("inf")
            loss = _broken(kind, rank)
            results.append(take_step(engine, mine, counts, loss, 0, most_loss=most_loss))
        pieces = local_pieces(engine, rank, world_size)
        held = {f"{p.name}|{p.what}|{p.offset}": p.values for p in pieces}
        # Of all fields of the optimizer's states: torch keeps a count of steps in each.
        counts_of_steps = [float(state["step"]) for state in engine.optimizer.state.values()]
        answers.append((results, held, counts_of_steps))
        engine.handle.destroy()
    return answers


GOOD = [("good", 1), ("good", 2)]
TROUBLED = [("nan", 3), GOOD[0], ("inf", 3), ("gradient", 3), ("spike", 3), GOOD[1]]
# Of step 3 lanes 0 to 3 have 3, 0, 1, 2 rows; rank 1 feeds lanes 1 and 3.
OF_RANK_1 = ((3, 1, (2**63, 2**63 + 1)),)
OF_ALL = ((0, 0, (2**63, 2**63 + 1, 2**63 + 2)), (2, 0, (2**63,)), *OF_RANK_1)


def _both(rank: int, world_size: int, recipes: list[Recipe], folder: str) -> list[Any]:
    return [_in_trouble(rank, world_size, recipes, folder, steps) for steps in (GOOD, TROUBLED)]


def test_a_step_in_trouble_moves_nothing_on_any_stage(folders: tuple[Path, str]) -> None:
    root, folder = folders
    recipes = [*_recipes(root), tiny_recipe(root, zero={"stage": 1}, precision="bf16")]
    for plain, troubled in on_ranks(2, _both, recipes, folder):
        for recipe, ours, theirs in zip(recipes, troubled, plain, strict=True):
            results, held, counts_of_steps = ours
            stage = (recipe.zero.stage, recipe.precision)
            assert [r.moved for r in results] == [False, True, False, False, False, True], stage
            assert [r.loss for r in results if r.moved] == [r.loss for r in theirs[0]], stage
            assert held.keys() == theirs[1].keys()
            assert [key for key in held if not held[key].equal(theirs[1][key])] == [], stage
            assert counts_of_steps == theirs[2] == [2.0] * len(counts_of_steps), stage
            said = [r.trouble.what if r.trouble else None for r in results]
            assert said[:4] == [
                "the loss is nan",
                None,
                "the loss is nan",
                *said[3:4],
            ]  # 0 rows x inf
            assert said[3].startswith("the gradient norm is ")
            assert "above 0.001," in said[4]
            lanes = [r.trouble.lanes for r in results if r.trouble]
            assert lanes == [OF_RANK_1, OF_RANK_1, OF_ALL, OF_ALL], stage
            assert [r.trouble.is_of_lanes for r in results if r.trouble] == [True] * 2 + [
                False,
                True,
            ]
