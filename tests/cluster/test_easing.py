"""What is asked of the workers after memory ran out."""

from pathlib import Path
from typing import Any

import pytest

from cluster.easing import PARTS, TWICE, after_shortage, ease, eased
from cluster.failures import Failure
from configs.schema import Recipe
from tests.recipes import tiny_recipe

SHORT = Failure(True, 1, "TrainingError", "rank 1 ran out of memory", out_of_memory=True)


def made(folder: Path, **sections: Any) -> Recipe:
    return tiny_recipe(folder, batch={"microbatch_size": 16}, **sections)


def test_parts_are_doubled_up_to_eight(tmp_path: Path) -> None:
    recipe, seen = made(tmp_path), []
    while changes := ease(recipe):
        recipe = eased(recipe, changes)
        seen.append(recipe.faults.feed_parts)
    assert seen == [2, 4, 8]


@pytest.mark.parametrize(("rows", "parts"), [(1, []), (2, [2]), (3, [2, 4]), (4, [2, 4])])
def test_a_part_has_at_least_one_row(tmp_path: Path, rows: int, parts: list[int]) -> None:
    recipe, seen = tiny_recipe(tmp_path, batch={"microbatch_size": rows}), []
    while changes := ease(recipe):
        recipe = eased(recipe, changes)
        seen.append(recipe.faults.feed_parts)
    assert seen == parts
    changes, failure = after_shortage(recipe, SHORT)
    assert (changes, failure.final) == ({}, True)
    assert failure.message == "One row does not fit: rank 1 ran out of memory"


def test_microbatches_by_tokens_are_cut_too(tmp_path: Path) -> None:
    plain = made(tmp_path)
    batch = plain.batch.model_copy(update={"microbatch_tokens": 64, "microbatch_size": 1})
    recipe = plain.model_copy(update={"batch": batch})
    assert ease(recipe) == {PARTS: 2}


def test_rows_that_belong_together_stay_together(tmp_path: Path) -> None:
    task = {"kind": "sentence_embedding", "anchor": "a", "positive": "b"}
    recipe = made(tmp_path, task=task)
    changes, failure = after_shortage(recipe, SHORT)
    assert (changes, failure.final) == ({TWICE: 1}, False)
    again = eased(recipe, changes)
    assert again.activation_checkpointing
    assert again.faults.feed_parts == 1
    assert after_shortage(again, SHORT) == ({}, SHORT)


def test_the_person_is_told_what_changes(tmp_path: Path) -> None:
    changes, failure = after_shortage(made(tmp_path), SHORT)
    assert changes == {PARTS: 2}
    assert not failure.final
    assert failure.message == (
        "rank 1 ran out of memory. Each microbatch is fed in 2 parts from now on: same rows, same "
        "loss"
    )


def test_what_an_earlier_attempt_found_is_kept(tmp_path: Path) -> None:
    recipe = made(tmp_path)
    assert eased(recipe, {}) == recipe
    assert eased(recipe, {PARTS: 4}).faults.feed_parts == 4
    asked = made(tmp_path, faults={"feed_parts": 8}, activation_checkpointing=True)
    assert eased(asked, {PARTS: 4}) == asked
