"""Memory that runs out: recognised, estimated, and saved by feeding microbatches in parts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers.models.bert.modeling_bert import BertLayer

from configs.errors import RecipeError, TrainingError
from configs.records import Ledger
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import Told, run_all
from trainers.data.preparation import prepare
from trainers.memory import is_shortage, shortage, state_bytes


@pytest.mark.parametrize(
    ("error", "is_short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory of what was said"), False),
    ],
)
def test_what_means_that_memory_ran_out(error: Exception, is_short: bool) -> None:
    assert is_shortage(error) == is_short


@pytest.mark.parametrize(
    ("stage", "expected"),
    # 20 weights learn and 5 are frozen, all fp32; Adam has two moments; four ranks.
    [
        (0, 100 + 80 + 160),
        (1, 100 + 80 + 240 // 4),
        (2, 100 + 80 // 4 + 240 // 4),
        (3, 100 // 4 + 80 // 4 + 240 // 4),
    ],
)
def test_the_estimate_is_that_of_zero(stage: int, expected: int) -> None:
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Linear(5, 1, bias=False))
    model[1].weight.requires_grad_(False)
    optimizer = torch.optim.AdamW(model[0].parameters())
    engine: Any = SimpleNamespace(model=model, stage=stage, optimizer=optimizer)
    assert state_bytes(engine, 4) == expected
    said = str(shortage(RuntimeError("out of memory\nmore"), engine, 3, 4))
    assert said.startswith("rank 3 ran out of memory (out of memory). By estimate weights, gr")


MOST_ROWS = 2


def _limit_rows(module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Stand for a device on which no more rows fit while training."""
    if isinstance(module, BertLayer) and module.training:
        hidden = arguments[0]  # (rows, tokens, width)
        if len(hidden) > MOST_ROWS:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")


def _run(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str
) -> tuple[dict[str, Told], dict[str, str]]:
    told, failed = {}, {}
    for recipe in recipes:
        hook = None
        if recipe.name.startswith("short"):
            hook = nn.modules.module.register_module_forward_pre_hook(_limit_rows)
        try:
            (told[recipe.name],) = run_all(rank, world_size, [recipe], data_dir, 1, 0)
        except (TrainingError, RecipeError) as error:
            failed[recipe.name] = str(error)
        finally:
            if hook is not None:
                hook.remove()
    return told, failed


@pytest.mark.proof
def test_parts_fit_where_the_whole_does_not_and_give_the_same_losses(tmp_path: Path) -> None:
    def made(name: str, stage: int, parts: int) -> Recipe:
        return tiny_recipe(
            tmp_path,
            name=name,
            model={"dropout": 0.0},
            zero={"stage": stage},
            freezing={"last": 1},
            epochs=1,
            batch={"microbatch_size": 4},
            faults={"feed_parts": parts},
        )

    whole = [made(f"whole-z{stage}", stage, 1) for stage in range(4)]
    parts = [made(f"short-z{stage}", stage, 2 if stage < 3 else 3) for stage in range(4)]
    recipes = [*whole, *parts, made("short-whole", 2, 1)]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    both = on_ranks(2, _run, recipes, data_dir, seconds=200)
    for rank, (_, failed) in enumerate(both):
        words = f"rank {rank} ran out of memory (CUDA out of memory. Tried to allocate 9"
        assert list(failed) == ["short-whole"]
        assert failed["short-whole"].startswith(words)
    told = both[0][0]
    for stage in range(4):
        ours, theirs = told[f"short-z{stage}"], told[f"whole-z{stage}"]
        assert len(ours.losses()) == 4
        assert ours.losses() == pytest.approx(theirs.losses(), rel=1e-5), stage
        assert ours.ended.metrics == pytest.approx(theirs.ended.metrics, rel=1e-5)
        (ledger,) = [r for r in ours.records if isinstance(r, Ledger)]
        assert (ledger.ok, ledger.rows) == (True, 61)
