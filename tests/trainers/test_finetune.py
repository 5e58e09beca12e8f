"""Whole runs on gloo ranks: one answer for every ZeRO stage and number of ranks, also resumed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from configs.records import Ended, Evaluated, Exported, Ledger, Record, Step
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from trainers import storage
from trainers.data.preparation import prepare
from trainers.finetune import finetune
from trainers.place import Place

STAGES = (0, 1, 2, 3)


def all_or(*stages: int) -> tuple[int, ...]:
    """Give all ZeRO stages where THAW_TESTS=full asks for the whole proof, these few elsewhere."""
    return STAGES if os.environ.get("THAW_TESTS") == "full" else stages


# 61 rows in 4 lanes are 16 rows in the longest; of 3 at a time 6 steps, in 2 epochs 12.
STEPS = 12


@dataclass(frozen=True)
class Told:
    """What rank 0 of a run was told."""

    ended: Ended
    records: list[Record]

    def losses(self) -> dict[int, float]:
        """Give the loss of each step."""
        return {r.step: r.loss for r in self.records if isinstance(r, Step)}

    def evaluations(self, split: str) -> list[dict[str, float]]:
        """Give the metrics of each evaluation of a split."""
        found = [r for r in self.records if isinstance(r, Evaluated) and r.split == split]
        return [r.metrics for r in found]


def run_all(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str, attempt: int, stop_after: int
) -> list[Told]:
    """Run recipes one after another; a stop is asked for before step `stop_after` (0: never)."""
    told = []
    for recipe in recipes:
        run_dir = storage.join(recipe.storage, recipe.name)
        place = Place(rank, world_size, rank, run_dir, data_dir, attempt, "cpu")
        records: list[Record] = []
        asked = iter(range(1, 10**6))
        ended = finetune(recipe, place, records.append, lambda n=asked: next(n) == stop_after)
        told.append(Told(ended, records))
    return told


def _recipes(folder: Path, label: str, stages: tuple[int, ...] = STAGES) -> list[Recipe]:
    return [
        tiny_recipe(folder, name=f"{label}-z{n}", zero={"stage": n}, freezing={"last": 1})
        for n in stages
    ]


def _weights(recipe: Recipe) -> dict[str, Any]:
    return load_file(storage.join(recipe.storage, recipe.name, "export", "model.safetensors"))


def _assert_same_bits(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert ours[name].equal(weight), name


@dataclass(frozen=True)
class Undisturbed:
    """Runs on two ranks that nothing happened to, by ZeRO stage."""

    folder: Path
    data_dir: str
    recipes: list[Recipe]
    told: list[Told]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Run all stages on two ranks, dropout on, the last block and the head learning."""
    folder = tmp_path_factory.mktemp("finetune")
    recipes = _recipes(folder, "two")
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    told = on_ranks(2, run_all, recipes, data_dir, 1, 0, seconds=200)[0]
    return Undisturbed(folder, data_dir, recipes, told)


def test_a_run_says_all_that_a_person_wants_to_know(undisturbed: Undisturbed) -> None:
    for recipe, told in zip(undisturbed.recipes, undisturbed.told, strict=True):
        assert told.ended.state == "succeeded"
        assert sorted(told.losses()) == list(range(1, STEPS + 1))
        ledgers = [r for r in told.records if isinstance(r, Ledger)]
        assert [(r.epoch, r.ok, r.rows, r.expected_rows) for r in ledgers] == [
            (1, True, 61, 61),
            (2, True, 61, 61),
        ]
        assert len(told.evaluations("validation")) == 2
        assert told.ended.metrics == told.evaluations("test")[0]
        (exported,) = [r for r in told.records if isinstance(r, Exported)]
        assert exported.frozen_unchanged
        assert exported.max_difference < 1e-5
        assert not [r for r in told.records if r.kind == "note"], recipe.name


def test_every_zero_stage_gives_the_same_answer(undisturbed: Undisturbed) -> None:
    first, *others = undisturbed.told
    for told in others:
        assert told.losses() == pytest.approx(first.losses(), rel=1e-5)
        assert told.ended.metrics == pytest.approx(first.ended.metrics, rel=1e-5)


@pytest.mark.parametrize(("world_size", "stages"), [(1, all_or(0, 2)), (4, all_or(3))])
def test_every_number_of_ranks_gives_the_same_answer(
    world_size: int, stages: tuple[int, ...], undisturbed: Undisturbed
) -> None:
    recipes = _recipes(undisturbed.folder, f"on{world_size}", stages)
    told = on_ranks(world_size, run_all, recipes, undisturbed.data_dir, 1, 0, seconds=200)[0]
    for ours, stage in zip(told, stages, strict=True):
        theirs = undisturbed.told[stage]
        assert ours.losses() == pytest.approx(theirs.losses(), rel=1e-5)
        assert ours.ended.metrics == pytest.approx(theirs.ended.metrics, rel=1e-5)
        for mine, other in zip(
            ours.evaluations("validation"), theirs.evaluations("validation"), strict=True
        ):
            assert mine == pytest.approx(other, rel=1e-5)


def test_frozen_weights_keep_the_bits_of_the_base_model(undisturbed: Undisturbed) -> None:
    base = load_file(undisturbed.folder / "model" / "model.safetensors")
    for recipe in undisturbed.recipes:
        weights = _weights(recipe)
        frozen = [n for n in base if not n.startswith(("encoder.layer.1.", "pooler."))]
        assert len(frozen) > 10
        for name in frozen:
            assert weights[f"bert.{name}"].equal(base[name]), name
        moved = [n for n in base if n not in frozen]
        assert not any(weights[f"bert.{name}"].equal(base[name]) for name in moved)


def test_stopped_and_resumed_on_as_many_ranks_gives_the_same_bits(
    undisturbed: Undisturbed,
) -> None:
    stages = all_or(1, 3)
    recipes = _recipes(undisturbed.folder, "again", stages)
    stopped = on_ranks(2, run_all, recipes, undisturbed.data_dir, 1, 3, seconds=200)[0]
    assert [(t.ended.state, t.ended.step, t.ended.exit_code) for t in stopped] == [
        ("stopped", 3, 143)
    ] * len(stages)
    resumed = on_ranks(2, run_all, recipes, undisturbed.data_dir, 2, 0, seconds=200)[0]
    for recipe, ours, stage in zip(recipes, resumed, stages, strict=True):
        theirs = undisturbed.told[stage]
        assert sorted(ours.losses()) == list(range(4, STEPS + 1))
        assert ours.losses() == {s: x for s, x in theirs.losses().items() if s > 3}
        assert ours.ended.metrics == theirs.ended.metrics
        _assert_same_bits(_weights(recipe), _weights(undisturbed.recipes[stage]))


@pytest.mark.parametrize(("world_size", "stages"), [(1, all_or(2)), (4, all_or(1))])
def test_resumed_on_another_number_of_ranks_gives_the_same_losses(
    world_size: int, stages: tuple[int, ...], undisturbed: Undisturbed
) -> None:
    recipes = _recipes(undisturbed.folder, f"from2to{world_size}", stages)
    on_ranks(2, run_all, recipes, undisturbed.data_dir, 1, 7, seconds=200)
    told = on_ranks(world_size, run_all, recipes, undisturbed.data_dir, 2, 0, seconds=200)[0]
    for ours, stage in zip(told, stages, strict=True):
        theirs = undisturbed.told[stage]
        assert sorted(ours.losses()) == list(range(8, STEPS + 1))
        expected = {step: loss for step, loss in theirs.losses().items() if step > 7}
        assert ours.losses() == pytest.approx(expected, rel=1e-5)
        assert ours.ended.metrics == pytest.approx(theirs.ended.metrics, rel=1e-5)
