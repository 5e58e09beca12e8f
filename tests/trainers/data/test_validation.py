"""Validation: whatever is wrong with a set is named, with its file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from configs.errors import DataError
from tests.object_store import ObjectStore
from tests.trainers.data.prepared_sets import prepare_example
from trainers import storage
from trainers.data.store import MANIFEST, load_manifest
from trainers.data.validation import find_problems

SHARD = "train-00001.arrow"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def test_a_whole_set_has_no_problem(tmp_path: Path) -> None:
    folder = prepare_example(tmp_path).data_dir
    assert list(find_problems(folder)) == list(find_problems(folder, deep=True)) == []


@pytest.mark.parametrize(
    ("damage", "problem", "is_deep"),
    [
        (flip, "is damaged: its bytes are not those that were prepared", True),
        (cut, "is damaged: .* bytes where the manifest says", False),
        (Path.unlink, "is missing", False),
        (lambda path: path.write_bytes(b""), "is damaged: 0 bytes", False),
    ],
)
def test_damage_to_a_shard_is_named(
    tmp_path: Path, damage: Callable[[Path], Any], problem: str, is_deep: bool
) -> None:
    folder = prepare_example(tmp_path).data_dir
    damage(Path(folder, SHARD))
    for deep in (False, True):
        found = list(find_problems(folder, deep=deep))
        assert len(found) == (deep or not is_deep)
        for sentence in found:
            assert re.search(problem, sentence)
            assert sentence.startswith(f"{folder}/{SHARD} ")
            assert sentence.endswith(f"Delete {folder} and prepare the data again")


def test_a_set_in_a_bucket_is_checked_like_one_on_a_disk(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    root = object_store.make_bucket("validated")
    made = prepare_example(tmp_path)
    for path in Path(made.data_dir).iterdir():
        storage.upload(path, f"{root}/set/{path.name}")
    assert list(find_problems(f"{root}/set", deep=True)) == []
    flip(Path(made.data_dir, SHARD))
    storage.upload(Path(made.data_dir, SHARD), f"{root}/set/{SHARD}")
    assert list(find_problems(f"{root}/set")) == []
    [problem] = find_problems(f"{root}/set", deep=True)
    assert problem.startswith(f"{root}/set/{SHARD} is damaged: its bytes")


def change(folder: str, edit: Callable[[Any], None]) -> None:
    path = Path(folder, MANIFEST)
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def test_a_manifest_that_does_not_agree_with_itself(tmp_path: Path) -> None:
    folder = prepare_example(tmp_path).data_dir

    def edit(manifest: Any) -> None:
        manifest["splits"]["train"]["rows"] += 1

    change(folder, edit)
    problems = list(find_problems(folder))
    assert len(problems) == 4
    assert "rows in train" in problems[0]
    assert "which do not add up. Delete the set and prepare" in problems[-1]


def test_labels_are_counted_again(tmp_path: Path) -> None:
    folder = prepare_example(tmp_path).data_dir

    def edit(manifest: Any) -> None:
        counts = manifest["splits"]["test"]["class_counts"]
        counts[0], counts[1] = counts[0] + 1, counts[1] - 1

    change(folder, edit)
    assert list(find_problems(folder)) == []
    found = list(find_problems(folder, deep=True))
    assert [re.sub(r"\d+ rows", "n rows", problem)[:37] for problem in found] == [
        "test has n rows of label-0 where the ",
        "test has n rows of label-1 where the ",
    ]


def test_a_damaged_manifest_is_a_data_error(tmp_path: Path) -> None:
    folder = prepare_example(tmp_path).data_dir
    cut(Path(folder, MANIFEST))
    with pytest.raises(DataError, match=r"manifest.json is damaged .*Prepare the data again"):
        list(find_problems(folder))


def test_a_row_in_two_splits_is_found_even_where_all_hashes_agree(tmp_path: Path) -> None:
    folder = prepare_example(tmp_path).data_dir
    manifest = load_manifest(folder)
    # The first test shard takes the place of the first one of validation, hashes and all.
    source, target = manifest.splits["test"].shards[0], manifest.splits["validation"].shards[0]
    rows = pa.ipc.open_file(str(Path(folder, source.file))).read_all().slice(0, 1)
    assert rows.num_rows == 1
    Path(folder, target.file).write_bytes(Path(folder, source.file).read_bytes())

    def edit(manifest: Any) -> None:
        splits = manifest["splits"]
        splits["validation"] = {**splits["test"]}
        splits["validation"]["shards"] = [{**splits["test"]["shards"][0], "file": target.file}]
        manifest["report"]["rows_in"] = sum(info["rows"] for info in splits.values()) + sum(
            [manifest["report"]["duplicates"], *manifest["report"]["dropped"].values()]
        )

    change(folder, edit)
    assert storage.exists(f"{folder}/{target.file}")
    assert list(find_problems(folder)) == []
    assert list(find_problems(folder, deep=True)) == ["6 inputs are in validation and in test"]
