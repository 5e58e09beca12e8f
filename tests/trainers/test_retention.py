"""Which commits are kept."""

from pathlib import Path
from typing import Any

import pytest

from tests.recipes import tiny_recipe
from tests.trainers.commits import made_manifest
from trainers import storage
from trainers.manifest import Cursor, Manifest, checkpoint_name, list_commits
from trainers.retention import (
    Policy,
    delete_leftovers,
    delete_surplus,
    free_room,
    newer_than,
    policy_of,
    surplus,
)

LOSSES = {1: 0.9, 2: 0.2, 3: None, 4: 0.4, 5: float("nan"), 6: 0.3, 7: 0.8}


def _manifest(step: int, best: int | None = None) -> Manifest:
    value = LOSSES.get(step)
    cursor = Cursor(
        step=step,
        value=value,
        value_step=step if value is not None else 0,
        best_checkpoint=checkpoint_name(best, 1) if best else None,
    )
    return made_manifest(step, cursor=cursor)


def _left(policy: Policy, best: int | None = None) -> list[int]:
    given = [(checkpoint_name(step, 1), _manifest(step, best)) for step in LOSSES]
    gone = surplus(given, policy)
    return [step for step in LOSSES if checkpoint_name(step, 1) not in gone]


@pytest.mark.parametrize(
    ("last", "best", "lower", "left"),
    [
        (1, 1, True, [2, 7]),
        (2, 2, True, [2, 6, 7]),
        (2, 3, True, [2, 4, 6, 7]),
        (1, 1, False, [1, 7]),
        (1, 2, False, [1, 7]),  # the newest is the second best
        (9, 1, True, [1, 2, 3, 4, 5, 6, 7]),
        (3, 1, True, [2, 5, 6, 7]),
    ],
)
def test_the_newest_and_the_best_stay(last: int, best: int, lower: bool, left: list[int]) -> None:
    assert _left(Policy(last, best, lower)) == left


def test_what_the_newest_holds_for_the_best_stays_whatever_its_value() -> None:
    assert _left(Policy(1, 1, True), best=3) == [2, 3, 7]


def test_of_equal_values_the_later_stays() -> None:
    given = [
        (checkpoint_name(n, 1), made_manifest(n, cursor=Cursor(step=n, value=0.5, value_step=n)))
        for n in (1, 2, 3)
    ]
    assert surplus(given, Policy(1, 1, True)) == [checkpoint_name(1, 1), checkpoint_name(2, 1)]


def _write(run_dir: Path, steps: dict[int, Manifest | None]) -> None:
    for step, manifest in steps.items():
        folder = run_dir / "checkpoints" / checkpoint_name(step, 1)
        folder.mkdir(parents=True)
        (folder / "rank-00000.safetensors").write_bytes(b"x")
        if manifest is not None:
            (folder / "MANIFEST.json").write_text(manifest.model_dump_json())


def test_damaged_commits_do_not_count_as_kept(tmp_path: Path) -> None:
    _write(tmp_path, {step: _manifest(step) for step in LOSSES})
    names = list_commits(str(tmp_path))
    assert newer_than(str(tmp_path), names[4]) == (names[5], names[6])
    assert newer_than(str(tmp_path), None) == tuple(names)
    delete_surplus(str(tmp_path), Policy(2, 1, True), damaged=names[5:])
    assert list_commits(str(tmp_path)) == [names[1], names[3], names[4]]
    assert storage.list_names(str(tmp_path / "checkpoints")) == [names[1], names[3], names[4]]


def test_a_manifest_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    _write(tmp_path, {step: _manifest(step) for step in (1, 2, 3)})
    broken = tmp_path / "checkpoints" / checkpoint_name(2, 1) / "MANIFEST.json"
    broken.write_text("{")
    delete_surplus(str(tmp_path), Policy(1, 1, False))
    assert list_commits(str(tmp_path)) == [checkpoint_name(n, 1) for n in (1, 2, 3)]


def test_a_full_disk_leaves_the_newest_good_one_and_the_best(tmp_path: Path) -> None:
    _write(tmp_path, {step: _manifest(step, best=2) for step in LOSSES})
    names = list_commits(str(tmp_path))
    freed = free_room(str(tmp_path), names[5])
    assert list_commits(str(tmp_path)) == [names[1], names[5]]
    assert freed == [names[0], names[2], names[3], names[4], names[6]]


def test_leftovers_of_earlier_attempts_go(tmp_path: Path) -> None:
    _write(tmp_path, {1: _manifest(1), 2: None})
    delete_leftovers(str(tmp_path), 1)
    assert len(storage.list_names(str(tmp_path / "checkpoints"))) == 2
    delete_leftovers(str(tmp_path), 2)
    assert storage.list_names(str(tmp_path / "checkpoints")) == [checkpoint_name(1, 1)]


def test_frozen_weights_that_no_commit_names_go(tmp_path: Path) -> None:
    named = _manifest(1).model_copy(update={"frozen": "frozen.a02"})
    _write(tmp_path, {1: named})
    for attempt in (1, 2, 3):
        folder = tmp_path / "checkpoints" / f"frozen.a{attempt:02d}"
        folder.mkdir()
        (folder / "MANIFEST.json").write_text(_manifest(0).model_dump_json())
    delete_leftovers(str(tmp_path), 3)
    left = ["frozen.a02", "frozen.a03", checkpoint_name(1, 1)]
    assert storage.list_names(str(tmp_path / "checkpoints")) == left
    (tmp_path / "checkpoints" / checkpoint_name(1, 1) / "MANIFEST.json").write_text("{")
    delete_leftovers(str(tmp_path), 4)
    assert storage.list_names(str(tmp_path / "checkpoints")) == left  # nobody knows what it names


@pytest.mark.parametrize(
    ("sections", "lower"),
    [
        ({"early_stopping": {"metric": "loss"}}, True),
        ({"early_stopping": {"metric": "macro_f1"}}, False),
        ({"early_stopping": {"metric": "accuracy", "mode": "min"}}, True),
        ({"evaluation": {"best_metric": "loss"}}, True),
        (
            {
                "evaluation": {"best_metric": "loss"},
                "early_stopping": {"metric": "accuracy", "mode": "max"},
            },
            True,
        ),
        ({"evaluation": {"best_metric": "accuracy"}}, False),
    ],
)
def test_the_best_is_that_of_the_recipes_metric(
    sections: dict[str, Any], lower: bool, tmp_path: Path
) -> None:
    checkpoint = {"keep_last": 3, "keep_best": 2}
    recipe = tiny_recipe(tmp_path, checkpoint=checkpoint, **sections)
    assert policy_of(recipe, recipe.best_metric) == Policy(3, 2, lower)
