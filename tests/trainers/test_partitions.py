"""Training state per parameter: saved by some ranks, read by others, on every ZeRO stage."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from configs.errors import CheckpointError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.commits import commit_now
from tests.trainers.runs import STAGES
from trainers import partitions
from trainers.checkpoint import Reader, find_good_commit
from trainers.engine import build_engine, start_distributed
from trainers.manifest import Cursor, Manifest, read_manifest
from trainers.partitions import Piece
from trainers.place import Place
from trainers.strategy.learning_rates import parameter_groups
from trainers.tensor_file import write_tensors

LANES = 4


def _model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    # Sizes that no number of ranks divides, so that partitions cut parameters in two.
    model = nn.Sequential(
        nn.Linear(16, 33), nn.Tanh(), nn.Linear(33, 17), nn.Tanh(), nn.Linear(17, 2)
    )
    model[0].requires_grad_(False)
    return model


def _place(rank: int, world_size: int, folder: str) -> Place:
    return Place(rank, world_size, rank, folder, "", 1, "cpu")


def _loss(engine: Any, step: int, lane: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(step * 100 + lane)
    inputs = torch.randn(8, 16, generator=source)
    targets = torch.randint(0, 2, (8,), generator=source)
    return nn.functional.cross_entropy(engine(inputs), targets)


def _train(engine: Any, steps: range, rank: int, world_size: int) -> list[float]:
    losses = []
    for step in steps:
        total = torch.zeros(1, dtype=torch.float64)
        for lane in range(rank, LANES, world_size):
            loss = _loss(engine.handle, step, lane)
            engine.handle.backward(loss)
            engine.handle.step()
            total += loss.detach().double()
        dist.all_reduce(total)
        losses.append(total.item() / LANES)
    return losses


def _save(rank: int, world_size: int, recipes: list[Recipe], folder: str) -> list[list[float]]:
    """Train 4 steps, commit, train 3 more; returns the last losses for each recipe."""
    start_distributed("cpu")
    after = []
    for index, recipe in enumerate(recipes):
        engine = build_engine(_model(0), recipe, _place(rank, world_size, folder))
        _train(engine, range(4), rank, world_size)
        run_dir = f"{folder}/{index}"
        learning = {
            n: p.ds_numel if hasattr(p, "ds_numel") else p.numel()
            for n, p in engine.model.named_parameters()
            if p.requires_grad
        }
        manifest = Manifest(
            cursor=Cursor(step=4),
            data_fingerprint="",
            arithmetic={},
            parameters=learning,
            frozen=None,
            files=(),
        )
        pieces = list(partitions.local_pieces(engine, rank, world_size))
        commit_now(run_dir, "step-00000004.a01", pieces, manifest, rank)
        after.append(_train(engine, range(4, 7), rank, world_size))
        engine.handle.destroy()
    return after


def _resume(rank: int, world_size: int, recipes: list[Recipe], folder: str) -> list[list[float]]:
    start_distributed("cpu")
    after = []
    for index, recipe in enumerate(recipes):
        run_dir = f"{folder}/{index}"
        name, problems = find_good_commit(run_dir, rank, world_size)
        assert (name, problems) == ("step-00000004.a01", [])
        manifest = read_manifest(run_dir, name)
        reader = Reader(run_dir, name, manifest)
        # Another seed: whatever the commit does not bring back shows.
        model = _model(7)
        model[0].load_state_dict(_model(0)[0].state_dict())
        engine = build_engine(model, recipe, _place(rank, world_size, folder))
        partitions.prime(engine, lambda e=engine: _loss(e.handle, 0, 0))
        partitions.restore_weights(engine, reader.read, rank, manifest.parameters)
        partitions.restore_state(engine, reader.read, rank, lambda born: 4 - born)
        after.append(_train(engine, range(4, 7), rank, world_size))
        engine.handle.destroy()
    return after


@pytest.mark.parametrize(("optimizer", "world_sizes"), [("adamw", (1, 2, 4)), ("sgd", (1,))])
def test_state_saved_on_two_ranks_goes_on_on_others(
    optimizer: str, world_sizes: tuple[int, ...], tmp_path: Path
) -> None:
    recipes = [
        tiny_recipe(
            tmp_path,
            zero={"stage": stage},
            optimizer={"name": optimizer, "learning_rate": 1e-2, "momentum": 0.9},
        )
        for stage in STAGES
    ]
    saved = on_ranks(2, _save, recipes, str(tmp_path))[0]
    for stage in STAGES[1:]:
        assert saved[stage] == pytest.approx(saved[0], rel=1e-6)
    for world_size in world_sizes:
        resumed = on_ranks(world_size, _resume, recipes, str(tmp_path))[0]
        for stage in STAGES:
            tolerance = 0 if world_size == 2 else 1e-6
            assert resumed[stage] == pytest.approx(saved[stage], rel=tolerance, abs=0), stage


LATER = ("2.weight", "2.bias")


def _mark(model: nn.Module, later: bool) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("4.") or (later and name in LATER))


def _unfreeze(
    rank: int, world_size: int, recipes: list[Recipe], folder: str
) -> list[tuple[list[float], list[Piece]]]:
    """Train the last layer 4 steps, then the one before it too for 4 more, on a new engine."""
    start_distributed("cpu")
    answers = []
    for index, recipe in enumerate(recipes):
        model, place = _model(0), _place(rank, world_size, folder)
        _mark(model, later=False)
        engine = build_engine(model, recipe, place)
        losses = _train(engine, range(4), rank, world_size)
        run_dir, name = f"{folder}/{index}", "step-00000004.a01"
        manifest = Manifest(
            cursor=Cursor(step=4),
            data_fingerprint="",
            arithmetic={},
            parameters={},
            frozen=None,
            files=(),
        )
        pieces = partitions.local_pieces(engine, rank, world_size)
        saved = commit_now(run_dir, name, pieces, manifest, rank)
        engine.handle.destroy()
        _mark(model, later=True)
        groups = parameter_groups(model, recipe.optimizer, None, dict.fromkeys(LATER, 4))
        engine = build_engine(model, recipe, place, groups)
        partitions.prime(engine, lambda e=engine: _loss(e.handle, 0, 0))
        read = Reader(run_dir, name, saved).read
        partitions.restore_state(engine, read, rank, lambda born: 4 - born, LATER)
        losses += _train(engine, range(4, 8), rank, world_size)
        answers.append((losses, list(partitions.local_pieces(engine, rank, world_size))))
        engine.handle.destroy()
    return answers


def _unfreeze_in_plain_torch(recipe: Recipe) -> tuple[list[float], dict[tuple[str, str], Any]]:
    """Do the same with torch's AdamW, which gets a parameter group when the layer joins."""
    asked, model = recipe.optimizer, _model(0)
    _mark(model, later=False)
    named = dict(model.named_parameters())

    def group(prefix: str, kind: str, decay: float) -> dict[str, Any]:
        return {"params": [named[f"{prefix}.{kind}"]], "weight_decay": decay}

    def groups(prefix: str) -> list[dict[str, Any]]:
        return [group(prefix, "weight", asked.weight_decay), group(prefix, "bias", 0.0)]

    optimizer = torch.optim.AdamW(groups("4"), lr=asked.learning_rate)
    losses = []
    for step in range(8):
        if step == 4:
            _mark(model, later=True)
            for new in groups("2"):
                optimizer.add_param_group(new)
        loss = sum(_loss(model, step, lane) for lane in range(LANES)) / LANES
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    state = {}
    for name in ("4.weight", "4.bias", *LATER):
        state[name, "weight"] = named[name].detach()
        state |= {
            (name, key): optimizer.state[named[name]][key] for key in ("exp_avg", "exp_avg_sq")
        }
    return losses, state


def test_state_across_a_boundary_is_that_of_plain_torch(tmp_path: Path) -> None:
    asked = {"learning_rate": 1e-2, "weight_decay": 0.1, "max_grad_norm": 0.0}
    recipes = [tiny_recipe(tmp_path, zero={"stage": n}, optimizer=asked) for n in STAGES]
    losses, state = _unfreeze_in_plain_torch(recipes[0])
    for world_size in (1, 2):
        by_rank = on_ranks(world_size, _unfreeze, recipes, str(tmp_path / str(world_size)))
        for stage in STAGES:
            seen = 0
            for answers in by_rank:
                found, pieces = answers[stage]
                assert found == pytest.approx(losses, rel=1e-6), stage
                for piece in pieces:
                    whole = state[piece.name, piece.what].flatten()
                    part = whole[piece.offset : piece.offset + piece.values.numel()]
                    assert torch.allclose(piece.values, part, rtol=1e-6, atol=1e-6), piece
                    seen += piece.values.numel()
            assert seen == sum(tensor.numel() for tensor in state.values())


def test_a_piece_that_is_missing_is_named(tmp_path: Path) -> None:
    values = torch.arange(4.0)
    piece = partitions.Piece("layer.weight", "weight", 4, values)
    address = str(tmp_path / "checkpoints" / "c" / "rank.safetensors")
    saved = write_tensors(address, {f"{piece.name}|{piece.what}|{piece.offset}": piece.values})
    manifest = Manifest(
        cursor=Cursor(),
        data_fingerprint="",
        arithmetic={},
        parameters={},
        frozen=None,
        files=(saved,),
    )
    reader = Reader(str(tmp_path), "c", manifest)
    assert reader.read("layer.weight", "weight", 5, 2).tolist() == [1.0, 2.0]
    with pytest.raises(CheckpointError, match="lacks elements 0 to 8"):
        reader.read("layer.weight", "weight", 0, 8)
