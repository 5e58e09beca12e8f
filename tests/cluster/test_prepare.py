"""Which inputs one process prepares."""

from pathlib import Path

import pytest

from cluster.prepare import SMALL_BYTES, is_small, now_and_then, prepare_here
from configs.errors import DataError
from configs.records import Preparing
from configs.schema import Recipe
from tests.recipes import tiny_recipe


def recipe(train: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "one",
            "model": {"path": "m"},
            "task": {"kind": "text_classification"},
            "data": {"train": train},
        }
    )


def test_size_of_all_files_counts(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{n}.csv") for n in range(2)]
    for path in paths:
        with Path(path).open("wb") as stream:
            stream.truncate(SMALL_BYTES // 2)
    assert is_small(recipe(paths))
    with Path(paths[0]).open("ab") as stream:
        stream.write(b"x")
    assert not is_small(recipe(paths))


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv"):
        is_small(recipe(str(tmp_path / "none.csv")))


def test_record_tells_what_was_prepared(tmp_path: Path) -> None:
    asked = tiny_recipe(tmp_path)
    ready = prepare_here(asked)
    assert ready.rows_in == sum(ready.splits.values()) + ready.duplicates
    assert set(ready.splits) == {"train", "validation", "test"}
    assert (Path(ready.path) / "manifest.json").exists()
    again = prepare_here(asked)
    assert (again.cached, again.fingerprint) == (True, ready.fingerprint)


def test_progress_is_said_now_and_then() -> None:
    said: list[Preparing] = []
    tell = now_and_then(said.append, pause_s=3600)
    for share in (0.0, 0.5, 1.0):
        tell("reading", share)
    assert said == []
    often = now_and_then(said.append, pause_s=0)
    for share in (0.2, 0.4):
        often("tokenising", share)
    assert [(record.doing, record.share) for record in said] == [
        ("tokenising", 0.2),
        ("tokenising", 0.4),
    ]
    now_and_then(None)("reading", 0.5)
