"""Runs that train on a recording of the frozen prefix give what runs give that compute it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.records import Exported, Note, Phase, Recorded
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import (
    Told,
    all_or,
    assert_same_bits,
    read_export,
    refusals,
    run_all,
    stop_and_resume,
)
from trainers.data.preparation import prepare
from trainers.data.recordings import recordings_folder

# Rows of one padded width: a sum over more zeros may round anew, with or without a recording.
WIDTH = 32
PHASES = [{"learn": "head", "epochs": 2}, {"learn": {"last": 1}}]

pytestmark = pytest.mark.proof


def _recipe(folder: Path, name: str, **sections: Any) -> Recipe:
    head = {"mode": "head", "prefix_cache": "auto"}
    values = {"freezing": head, "batch": {"pad_to_multiple_of": WIDTH}}
    return tiny_recipe(folder, name=name, **{**values, **sections})


def _cached(freezing: dict[str, Any], *, on: bool) -> dict[str, Any]:
    return {**freezing, "prefix_cache": "auto" if on else "off"}


def _recorded(told: Told) -> list[tuple[int, bool]]:
    return [(r.blocks, r.cached) for r in told.records if isinstance(r, Recorded)]


@dataclass(frozen=True)
class Pairs:
    """Runs on two ranks with a recording, each with its twin that has none."""

    folder: Path
    data_dir: str
    recipes: dict[str, tuple[Recipe, Recipe]]
    told: dict[str, tuple[Told, Told]]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Run with and without, dropout on: head alone, last block, in phases, half precision."""
    folder = tmp_path_factory.mktemp("prefix")
    kinds: dict[str, dict[str, Any]] = {
        f"head-z{n}": {"freezing": {"mode": "head"}, "zero": {"stage": n}} for n in all_or(0, 3)
    }
    kinds |= {f"last-z{n}": {"freezing": {"last": 1}, "zero": {"stage": n}} for n in all_or(2)}
    kinds["phases"] = {"freezing": {"schedule": PHASES}, "zero": {"stage": 2}, "epochs": 4}
    kinds["half"] = {"freezing": {"last": 1}, "zero": {"stage": 1}, "precision": "bf16"}
    recipes = {
        name: tuple(
            _recipe(
                folder,
                f"{name}-{'on' if on else 'off'}",
                **{**sections, "freezing": _cached(sections["freezing"], on=on)},
            )
            for on in (True, False)
        )
        for name, sections in kinds.items()
    }
    flat = [recipe for pair in recipes.values() for recipe in pair]
    data_dir = prepare(flat[0], flat[0].storage).data_dir
    told = iter(on_ranks(2, run_all, flat, data_dir, 1, 0, seconds=250)[0])
    joined = {name: (next(told), next(told)) for name in recipes}
    return Pairs(folder, data_dir, recipes, joined)


def test_losses_and_weights_have_the_same_bits(pairs: Pairs) -> None:
    for name, (on, off) in pairs.told.items():
        assert on.losses() == off.losses(), name
        assert on.evaluations("validation") == off.evaluations("validation"), name
        assert on.ended.metrics == off.ended.metrics, name
        assert_same_bits(*map(read_export, pairs.recipes[name]))
        (exported,) = [r for r in on.records if isinstance(r, Exported)]
        assert exported.frozen_unchanged, name
        assert not [r.text for r in on.records if isinstance(r, Note)], name


def test_what_is_recorded_is_said(pairs: Pairs) -> None:
    for name, (on, off) in pairs.told.items():
        assert _recorded(off) == []
        blocks = {"head": [2], "last": [1], "half": [1], "phases": [2, 1]}[name.split("-")[0]]
        assert [number for number, _ in _recorded(on)] == blocks, name
    # Of a head alone one token a row is kept: 61 + 14 rows of 32 numbers.
    first = next(r for r in pairs.told["head-z0"][0].records if isinstance(r, Recorded))
    assert (first.rows, first.num_bytes, first.num_blocks) == (75, 75 * 32 * 4, 2)
    for told in pairs.told["phases"]:
        sizes = [
            (r.trainable_parameters, r.total_parameters)
            for r in told.records
            if isinstance(r, Phase)
        ]
        assert len({total for _, total in sizes}) == 1
        assert sizes[0][0] < sizes[1][0]


def test_a_resumed_run_finds_its_recording(pairs: Pairs) -> None:
    stages = all_or(0, 3)
    recipes = [_recipe(pairs.folder, f"again-z{n}", zero={"stage": n}) for n in stages]
    stops = [4] * len(stages)
    answers = on_ranks(2, stop_and_resume, recipes, pairs.data_dir, stops, seconds=200)[0]
    for recipe, stage, (first, second) in zip(recipes, stages, answers, strict=True):
        assert first.ended.state == "stopped"
        assert (_recorded(first)[0][0], _recorded(second)) == (2, [(2, True)])
        theirs = pairs.told[f"head-z{stage}"][0].losses()
        assert second.losses() == {step: loss for step, loss in theirs.items() if step > 4}
        assert_same_bits(read_export(recipe), read_export(pairs.recipes[f"head-z{stage}"][0]))


def test_one_epoch_is_not_worth_a_recording(pairs: Pairs) -> None:
    short = _recipe(pairs.folder, "short", epochs=1)
    asked = _recipe(
        pairs.folder, "asked", epochs=1, freezing={"mode": "head", "prefix_cache": "on"}
    )
    told = on_ranks(1, run_all, [short, asked], pairs.data_dir, 1, 0)[0]
    assert [len(_recorded(each)) for each in told] == [0, 1]
    assert told[0].losses() == told[1].losses()


def test_what_cannot_be_is_refused_before_a_step(pairs: Pairs) -> None:
    full = _recipe(pairs.folder, "full", freezing={"mode": "full", "prefix_cache": "on"})
    tight = {"mode": "head", "prefix_cache": "on", "prefix_cache_gib": 1e-6}
    small = _recipe(pairs.folder, "small", freezing=tight)
    none, little = on_ranks(1, refusals, [full, small], pairs.data_dir)[0]
    assert none.startswith("freezing.prefix_cache is on but no block comes before all that learns")
    assert "takes 8.94e-06 GiB a node but freezing.prefix_cache_gib is 1e-06" in little


def _run_without_room(
    rank: int, world_size: int, recipe: Recipe, data_dir: str, full: str
) -> list[Told]:
    """Run where rank 1 finds a disk on which nothing can be written."""
    if rank == 1:
        tempfile.tempdir = full
        recordings_folder().write_text("no folder")
    return run_all(rank, world_size, [recipe], data_dir, 1, 0)


def test_a_recording_beyond_its_limit_is_left_out_with_a_word(pairs: Pairs) -> None:
    tight = {"mode": "head", "prefix_cache": "auto", "prefix_cache_gib": 1e-6}
    small = _recipe(pairs.folder, "tight", freezing=tight)
    (told,) = on_ranks(2, run_all, [small], pairs.data_dir, 1, 0)[0]
    (note,) = [r.text for r in told.records if isinstance(r, Note)]
    assert note.startswith("a recording of the frozen prefix takes ")
    assert note.endswith("but freezing.prefix_cache_gib is 1e-06. It is computed in every epoch")
    assert told.losses() == pairs.told["head-z0"][0].losses()


@pytest.mark.parametrize("stage", all_or(3))
def test_a_disk_that_fails_on_one_rank_is_said_once(
    stage: int, pairs: Pairs, tmp_path: Path
) -> None:
    recipe = _recipe(pairs.folder, f"full-z{stage}", zero={"stage": stage})
    (told,) = on_ranks(2, _run_without_room, recipe, pairs.data_dir, str(tmp_path))[0]
    (note,) = [r for r in told.records if isinstance(r, Note)]
    assert note.level == "warning"
    assert note.text.startswith("the frozen prefix could not be recorded (")
    assert _recorded(told) == []
    assert told.losses() == pytest.approx(pairs.told["head-z0"][0].losses(), rel=1e-5)
