"""Whole runs over a row whose target no loss can hold: failed, skipped, rolled back, resumed."""

import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from configs.errors import TrainingError
from configs.records import Ledger, Mishap
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import COMMON_WORDS
from tests.trainers.runs import Told, assert_same_bits, read_export, run_all
from trainers.data.preparation import prepare
from trainers.data.store import ROW_ID, load_manifest, open_split
from trainers.recovery import require_finite_weights

ROWS, LANES, POISON = 40, 4, 1e38


def write_rows(path: Path, rows: int, seed: int, *, poisoned: bool = False) -> str:
    source, words = random.Random(seed), COMMON_WORDS.split()
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "stars"])
        for row in range(rows):
            text = " ".join(source.sample(words, 6))
            writer.writerow([text, POISON if poisoned and row == 7 else source.random()])
    return str(path)


def recipe_for(folder: Path, name: str, stage: int = 2, **faults: Any) -> Recipe:
    """A recipe of two epochs, each of which meets the poisoned row once; a commit every 2 steps."""
    if not (folder / "stars.csv").exists():
        write_rows(folder / "stars.csv", ROWS, 0, poisoned=True)
        write_rows(folder / "others.csv", 9, 1)
    return tiny_recipe(
        folder,
        name=name,
        task={"kind": "text_regression", "value": "stars"},
        data={
            "train": str(folder / "stars.csv"),
            "validation": str(folder / "others.csv"),
            "test": None,
        },
        zero={"stage": stage},
        faults=faults,
        checkpoint={"every_steps": 2},
    )


@dataclass(frozen=True)
class Seen:
    """What rank 0 was told of runs by name, and the words of one that failed."""

    told: dict[str, Told]
    stopped: dict[str, Told]
    failed: dict[str, str]


def _run(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str, again: list[Recipe]
) -> Seen:
    told, stopped, failed = {}, {}, {}
    for recipe in recipes:
        try:
            (told[recipe.name],) = run_all(rank, world_size, [recipe], data_dir, 1, 0)
        except TrainingError as error:
            failed[recipe.name] = str(error)
    for recipe in again:
        # Of 8 steps; an epoch has 4, so the first mishap is over.
        (stopped[recipe.name],) = run_all(rank, world_size, [recipe], data_dir, 1, 7)
        (told[recipe.name],) = run_all(rank, world_size, [recipe], data_dir, 2, 0)
    return Seen(told, stopped, failed)


@dataclass(frozen=True)
class Proved:
    folder: Path
    row_id: str
    two: Seen
    one: Seen
    failed_on: list[str]
    """What each of two ranks says of the run that fails."""


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Proved:
    folder = tmp_path_factory.mktemp("recovery")
    ways = {"on_nonfinite": "skip"}, {"on_nonfinite": "rollback"}
    recipes = [
        recipe_for(folder, "fails"),
        recipe_for(folder, "once", on_nonfinite="rollback", max_skipped=1),
        *(recipe_for(folder, f"{way['on_nonfinite']}", 2, **way) for way in ways),
    ]
    again = [recipe_for(folder, f"{way['on_nonfinite']}-again", 2, **way) for way in ways]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    split = open_split(data_dir, load_manifest(data_dir), "train")
    place = split.column("label", 0, ROWS).argmax()
    row_id = f"{split.column(ROW_ID, 0, ROWS)[place]:016x}"
    both = on_ranks(2, _run, recipes, data_dir, again, seconds=200)
    alone = [recipe_for(folder, f"{way['on_nonfinite']}-one", 0, **way) for way in ways]
    (one,) = on_ranks(1, _run, alone, data_dir, [], seconds=100)
    return Proved(folder, row_id, both[0], one, [seen.failed["fails"] for seen in both])


def mishaps(told: Told) -> list[Mishap]:
    return [record for record in told.records if isinstance(record, Mishap)]


def test_a_run_that_fails_names_the_row(proved: Proved) -> None:
    first, second = proved.failed_on
    assert first == second
    assert "the loss is inf at step " in first
    assert "of epoch 1)" in first
    assert proved.row_id in first
    assert "first on rank " in first
    assert "faults.on_nonfinite" in first


def test_more_mishaps_than_allowed_fail(proved: Proved) -> None:
    said = proved.two.failed["once"]
    assert "of epoch 2)" in said  # that of the first epoch was allowed
    assert "faults.max_skipped (1)" in said


def test_skipped_steps_count_their_rows_and_move_nothing(proved: Proved) -> None:
    told = proved.two.told["skip"]
    found = mishaps(told)
    assert [each.action for each in found] == ["skipped"] * 2
    assert [each.count for each in found] == [1, 2]
    assert all(proved.row_id in each.row_ids for each in found)
    losses = told.losses()
    assert [step for step, loss in losses.items() if math.isinf(loss)] == [r.step for r in found]
    ledgers = [r for r in told.records if isinstance(r, Ledger)]
    assert [(r.ok, r.rows, r.expected_rows) for r in ledgers] == [(True, ROWS, ROWS)] * 2
    assert all(math.isfinite(each["loss"]) for each in told.evaluations("validation"))


def test_rolled_back_steps_are_taken_again_without_the_microbatch(proved: Proved) -> None:
    told = proved.two.told["rollback"]
    found = mishaps(told)
    assert [each.action for each in found] == ["rolled back"] * 2
    for each in found:
        assert proved.row_id in each.row_ids
        assert each.step % 2 == 0  # a commit
    # The microbatch alone, not the whole step.
    fewer = [len(each.row_ids) for each in found]
    assert all(0 < rows <= 3 for rows in fewer)
    ledgers = [r for r in told.records if isinstance(r, Ledger)]
    assert [(r.ok, r.rows) for r in ledgers] == [(True, ROWS - rows) for rows in fewer]
    assert all(map(math.isfinite, told.losses().values()))


@pytest.mark.parametrize("way", ["skip", "rollback"])
def test_ranks_and_stages_give_the_same_losses(way: str, proved: Proved) -> None:
    two, one = proved.two.told[way], proved.one.told[f"{way}-one"]
    assert one.losses() == pytest.approx(two.losses(), rel=1e-5)
    # Not correlations: what was trained so briefly gives all rows nearly the same value.
    for metric in ("loss", "mae", "rmse"):
        assert one.ended.metrics[metric] == pytest.approx(two.ended.metrics[metric], rel=1e-5)
    assert [each.row_ids for each in mishaps(one)] == [each.row_ids for each in mishaps(two)]


@pytest.mark.parametrize("way", ["skip", "rollback"])
def test_stopped_and_resumed_gives_the_same_bits(way: str, proved: Proved) -> None:
    stopped, told = proved.two.stopped[f"{way}-again"], proved.two.told[f"{way}-again"]
    assert stopped.ended.state == "stopped"
    assert mishaps(stopped)
    assert stopped.losses() | told.losses() == proved.two.told[way].losses()
    ours, theirs = (recipe_for(proved.folder, name) for name in (f"{way}-again", way))
    assert_same_bits(read_export(ours), read_export(theirs))


def assert_refused(engine: Any, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(TrainingError, match="a weight is not finite in weight"):
            require_finite_weights(engine)
    else:
        require_finite_weights(engine)


@pytest.mark.parametrize(("weight", "is_refused"), [(float("nan"), True), (3.0, False)])
def test_a_weight_that_is_not_finite_is_not_committed(weight: float, is_refused: bool) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[1, 0] = weight
        model.bias.fill_(float("inf")).requires_grad_(False)  # frozen: the run does not make it
    engine: Any = SimpleNamespace(model=model, stage=1)
    assert_refused(engine, is_refused)


@pytest.mark.parametrize(("rank", "is_refused"), [(0, True), (1, False), (2, False)])
def test_what_fills_up_a_partition_may_be_anything(
    monkeypatch: pytest.MonkeyPatch, rank: int, is_refused: bool
) -> None:
    """Three elements in partitions of two: the last of rank 1, and all of rank 2, are none."""
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    weight = nn.Parameter(torch.empty(0))
    weight.ds_tensor, weight.ds_numel = torch.tensor([1.0, float("nan")]), 3
    model = SimpleNamespace(named_parameters=lambda: [("weight", weight)])
    engine: Any = SimpleNamespace(model=model, stage=3)
    assert_refused(engine, is_refused)
