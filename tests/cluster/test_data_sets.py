"""Prepared sets: found where a person points, described in plain values."""

from pathlib import Path

import pytest

from cluster.data_sets import find_problems, find_set, inspect_set, report_page
from configs.errors import DataError, NotFoundError
from tests.trainers.data.prepared_sets import prepare_example


def test_a_set_is_found_at_itself_its_folder_and_its_storage(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    store = str(tmp_path / "store")
    for address in (made.data_dir, f"{store}/.prepared", store):
        assert find_set(address) == made.data_dir
    other = Path(store, ".prepared", "0" * 32)
    other.mkdir()
    assert find_set(store) == made.data_dir
    (other / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 2 prepared sets. Name one: "):
        find_set(store)
    with pytest.raises(NotFoundError, match="holds no prepared set"):
        find_set(str(tmp_path))


def test_facts_are_those_of_the_manifest(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    facts = inspect_set(made.data_dir, 2)
    assert facts.contamination == {"train rows also in test": 5}
    assert (facts.duplicates, facts.dropped["missing text"]) == (7, 1)
    for name, info in made.manifest.splits.items():
        split = facts.splits[name]
        assert (split.rows, split.num_shards) == (info.rows, len(info.shards))
        assert sum(split.labels.values()) == info.rows
        assert len(split.samples) == 2
    assert inspect_set(made.data_dir, 0).splits["train"].samples == ()


def test_problems_and_page(tmp_path: Path) -> None:
    made = prepare_example(tmp_path)
    assert find_problems(made.data_dir, True) == []
    assert report_page(made.data_dir).startswith("<!doctype html>")
    Path(made.data_dir, "test-00000.arrow").unlink()
    [problem] = find_problems(made.data_dir, False)
    assert "test-00000.arrow is missing" in problem
