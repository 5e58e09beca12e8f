"""Sums over bits, and ranks that drift apart by one of them."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from configs.errors import TrainingError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from trainers.checksums import CHUNK_WORDS, checksum, checksum_due, compare_ranks, replicated
from trainers.engine import Engine, build_engine, feed, start_distributed
from trainers.partitions import prime
from trainers.place import Place

ROW = {"input_ids": torch.ones(1, 4, dtype=torch.int64)}
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


def some(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    source = torch.Generator().manual_seed(count)
    return (torch.randn(count, generator=source) * 100).to(dtype)


def flipped(tensor: torch.Tensor, element: int, bit: int) -> torch.Tensor:
    other = tensor.clone()
    other.view(torch.uint8)[element * tensor.element_size() + bit // 8] ^= 1 << (bit % 8)
    return other


@given(
    count=st.integers(1, 300),
    dtype=st.sampled_from(DTYPES[:-1]),
    where=st.integers(0, 10**6),
    bit=st.integers(0, 63),
)
def test_any_flipped_bit_changes_the_sum(
    count: int, dtype: torch.dtype, where: int, bit: int
) -> None:
    tensor = some(count, dtype)
    other = flipped(tensor, where % count, bit % (8 * tensor.element_size()))
    assert checksum(tensor).item() != checksum(other).item()
    assert checksum(tensor).item() == checksum(tensor.clone()).item()


@pytest.mark.parametrize("dtype", DTYPES)
def test_shape_and_place_in_memory_do_not_count(dtype: torch.dtype) -> None:
    tensor = some(24, dtype)
    wide = torch.zeros(27, dtype=dtype)
    wide[3:] = tensor  # does not begin at a multiple of 8 bytes
    assert checksum(wide[3:]).item() == checksum(tensor).item()
    assert checksum(tensor.view(4, 6)).item() == checksum(tensor).item()
    assert checksum(tensor.view(4, 6).t().contiguous().t()).item() == checksum(tensor).item()
    assert checksum(torch.zeros(0, dtype=dtype)).item() == 0


def test_words_and_chunks_cannot_change_places() -> None:
    tensor = some(4 * CHUNK_WORDS + 2)
    other = tensor.clone()
    other[[0, 2 * CHUNK_WORDS]] = tensor[[2 * CHUNK_WORDS, 0]]
    assert checksum(tensor).item() != checksum(other).item()
    first, second = tensor[: 2 * CHUNK_WORDS], tensor[2 * CHUNK_WORDS : 4 * CHUNK_WORDS]
    assert checksum(torch.cat([first, second])) != checksum(torch.cat([second, first]))


def test_ranks_are_compared_every_so_many_steps() -> None:
    assert [step for step in range(1, 10) if checksum_due(4, step)] == [4, 8]
    assert not checksum_due(None, 500)


def flip(engine: Engine, name: str) -> None:
    """Flip one bit of what this rank holds."""
    (tensor,) = [tensor for found, tensor in replicated(engine) if found == name]
    tensor.data.view(-1).view(torch.uint8)[5] ^= 4


def _feed_row(engine: Engine) -> torch.Tensor:
    total: torch.Tensor = feed(engine, ROW).logits.sum()
    return total


def _compare(
    rank: int, world_size: int, recipes: list[Recipe], folder: str
) -> list[tuple[list[str], list[str]]]:
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        model.bert.embeddings.requires_grad_(False)
        engine = build_engine(model, recipe, Place(rank, world_size, rank, "", "", 1, "cpu"))
        if recipe.zero.stage == 3:  # small parameters are whole from the first step on
            prime(engine, partial(_feed_row, engine))
        compare_ranks(engine, 1)
        names, said = [name for name, _ in replicated(engine)], []
        for name in (names[-1], names[0]):
            if rank == 1:
                flip(engine, name)
            try:
                compare_ranks(engine, 500)
            except TrainingError as error:
                said.append(str(error))
        answers.append((names, said))
        engine.handle.destroy()
    return answers


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_flipped_bit_on_one_rank_is_found_and_named(tmp_path: Path, world_size: int) -> None:
    folder = make_model_folder(tmp_path / "classifier", num_labels=3)
    stages = range(4) if world_size == 2 else (0,)
    recipes = [tiny_recipe(tmp_path, zero={"stage": stage}, batch={"lanes": 6}) for stage in stages]
    for answers in on_ranks(world_size, _compare, recipes, str(folder)):
        for stage, (names, (last, first)) in zip(stages, answers, strict=True):
            who = "rank 1 differs" if world_size == 3 else "ranks 0, 1 differ"
            assert last.startswith(f"{who} in {names[-1]} and 0 further tensors at step 500"), stage
            assert first.startswith(f"{who} in {names[0]} and 1 further tensors"), stage
            assert any(name.endswith("weight") for name in names)


def test_parameters_and_saved_buffers_are_compared() -> None:
    model = torch.nn.BatchNorm1d(3)
    model.register_buffer("table", torch.zeros(2), persistent=False)
    engine: Any = SimpleNamespace(model=model, stage=1)
    names = [name for name, _ in replicated(engine)]
    assert names == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
