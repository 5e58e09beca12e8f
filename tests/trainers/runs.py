"""Runs recipes on ranks, stops and resumes them, and gives what rank 0 was told and exported.

Which recipes, and what must be true of them, is left to the tests.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from configs.errors import RecipeError
from configs.records import Ended, Evaluated, Record, Step
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from trainers import storage
from trainers.data.preparation import prepare
from trainers.finetune import finetune
from trainers.place import Place

STAGES = (0, 1, 2, 3)


def all_or(*stages: int) -> tuple[int, ...]:
    """Give all ZeRO stages where THAW_TESTS=full asks for the whole proof, these few elsewhere."""
    return STAGES if is_full() else stages


def is_full() -> bool:
    """Say whether THAW_TESTS=full asks for the whole proof."""
    return os.environ.get("THAW_TESTS") == "full"


@dataclass(frozen=True)
class Told:
    """What rank 0 of a run was told."""

    ended: Ended
    records: list[Record]

    def losses(self) -> dict[int, float]:
        """Give the loss of each step."""
        return {r.step: r.loss for r in self.records if isinstance(r, Step)}

    def evaluations(self, split: str) -> list[dict[str, float | None]]:
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


def stop_and_resume(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str, stops: list[int]
) -> list[tuple[Told, Told]]:
    """Run each recipe to its stop, then on from its commit."""
    answers = []
    for recipe, stop in zip(recipes, stops, strict=True):
        (first,) = run_all(rank, world_size, [recipe], data_dir, 1, stop)
        (second,) = run_all(rank, world_size, [recipe], data_dir, 2, 0)
        answers.append((first, second))
    return answers


def refusals(rank: int, world_size: int, recipes: list[Recipe], data_dir: str) -> list[str]:
    """Run recipes one after another; returns the words of those that are refused."""
    said = []
    for recipe in recipes:
        try:
            run_all(rank, world_size, [recipe], data_dir, 1, 0)
        except RecipeError as error:
            said.append(str(error))
    return said


@dataclass(frozen=True)
class Runs:
    """Runs on two ranks that nothing happened to, by name."""

    folder: Path
    data_dir: str
    recipes: dict[str, Recipe]
    told: dict[str, Told]


def run_undisturbed(folder: Path, recipes: list[Recipe]) -> Runs:
    """Prepare the data that the recipes share, then run all of them on two ranks."""
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    told = on_ranks(2, run_all, recipes, data_dir, 1, 0, seconds=250)[0]
    names = [recipe.name for recipe in recipes]
    by_name = dict(zip(names, recipes, strict=True))
    return Runs(folder, data_dir, by_name, dict(zip(names, told, strict=True)))


def export_of(recipe: Recipe) -> Path:
    """Give the folder that a run exports to."""
    return Path(recipe.storage) / recipe.name / "export"


def read_export(recipe: Recipe) -> dict[str, torch.Tensor]:
    """Read the whole weights that a run exported."""
    return load_file(export_of(recipe) / "model.safetensors")


def assert_same_bits(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Check that both hold the same names, and under each the same bits."""
    assert ours.keys() == theirs.keys()
    assert [name for name, weight in theirs.items() if not ours[name].equal(weight)] == []
