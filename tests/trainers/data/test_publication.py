"""Publication: a reader never sees half a set, and a set that is not whole is not found."""

import threading
from pathlib import Path

import numpy as np
import pytest

from configs.errors import StorageError
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import plan_preparation
from trainers.data.preparation import prepare
from trainers.data.publication import class_notes, find_prepared, length_notes, publish_folder
from trainers.data.store import MANIFEST, Manifest, SplitInfo, SplitName, open_split


def test_a_reader_sees_the_whole_set_or_none(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", numbered_rows(300))
    recipe = make_recipe(path, data={"shard_rows": 20})
    plan = plan_preparation(recipe, str(tmp_path), tasks=words.WORDS)
    seen, ended = [0, 0], threading.Event()

    def look() -> None:
        while not ended.is_set() or not seen[1]:
            manifest = find_prepared(plan)
            seen[manifest is not None] += 1
            if manifest is None:
                assert not Path(plan.data_dir).exists() or find_prepared(plan)
            else:
                rows = open_split(plan.data_dir, manifest, "train").read(np.arange(300))
                assert rows.num_rows == 300

    reader = threading.Thread(target=look)
    reader.start()
    prepare(recipe, str(tmp_path), words.WORDS)
    ended.set()
    reader.join()
    assert seen[0] > 0


def test_a_set_without_a_shard_or_with_a_damaged_manifest_is_not_found(tmp_path: Path) -> None:
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", numbered_rows(9)))
    plan = plan_preparation(recipe, str(tmp_path), tasks=words.WORDS)
    assert find_prepared(plan) is None
    made = prepare(recipe, str(tmp_path), words.WORDS)
    assert find_prepared(plan) == made.manifest
    for name in ("train-00000.arrow", MANIFEST):
        path = Path(made.data_dir, name)
        content = path.read_bytes()
        path.write_bytes(content[:-2])
        assert find_prepared(plan) is None
        path.unlink()
        assert find_prepared(plan) is None
        path.write_bytes(content)


def test_a_damaged_set_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", numbered_rows(9)))
    plan = plan_preparation(recipe, str(tmp_path), tasks=words.WORDS)
    made = prepare(recipe, str(tmp_path), words.WORDS)
    ready = Path(made.data_dir).rename(tmp_path / "ready")

    def publish_at(target: Path) -> Manifest:
        where = {"shard_dir": str(ready), "data_dir": str(target)}
        return publish_folder(plan.model_copy(update=where), made.manifest)

    with pytest.raises(StorageError, match=r"none/set could not be made: No such file .* Mend"):
        publish_at(tmp_path / "none" / "set")
    mine = tmp_path / "set" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("kept")
    with pytest.raises(StorageError, match=r"set is damaged .* holds mine.txt, which is not ours"):
        publish_at(mine.parent)
    assert mine.read_text() == "kept"
    mine.unlink()
    (mine.parent / MANIFEST).write_text("{")
    assert publish_at(mine.parent) == made.manifest  # replaced, for nothing of it was a person's
    ready = mine.parent
    long = tmp_path / ("x" * 250)  # the name that it is put aside under would be too long
    long.mkdir()
    (long / MANIFEST).write_text("{")
    with pytest.raises(StorageError, match=r"x is damaged and cannot be replaced: File name too"):
        publish_at(long)


def test_rows_that_fill_the_length_are_told() -> None:
    def info(**lengths: int) -> SplitInfo:
        counts = {int(name[1:]): count for name, count in lengths.items()}
        rows = sum(counts.values())
        return SplitInfo(rows=rows, id_sum="0", lengths=counts, class_counts=(), shards=())

    splits: dict[SplitName, SplitInfo] = {
        "train": info(_7=990, _16=1200),
        "test": info(_16=10, _3=1),
    }
    (note,) = length_notes(splits, 16)
    assert note.startswith("1,210 of 2,201 rows have batch.max_length (16) tokens")
    assert length_notes(splits, 17) == ()
    assert length_notes({"train": info(_1=9)}, 1) == ()


def test_classes_with_few_rows_in_validation_are_told() -> None:
    def info(*counts: int) -> SplitInfo:
        rows = sum(counts)
        return SplitInfo(rows=rows, id_sum="0", lengths={9: rows}, class_counts=counts, shards=())

    names = ("cat", "dog", "eel", "fox")
    (note,) = class_notes({"train": info(90, 90, 90, 0), "validation": info(7, 4, 0, 0)}, names)
    assert note.startswith("validation has fewer than 5 rows of 2 of 4 classes (dog 4, eel 0): ")
    assert class_notes({"train": info(9, 9), "validation": info(5, 5)}, names[:2]) == ()
    assert class_notes({"train": info(9, 9), "test": info(1, 1)}, names[:2]) == ()
    assert class_notes({"train": info(), "validation": info()}, ()) == ()
