"""Encoding: shards of a bucket with their ids; copies of rows held out are written out."""

from pathlib import Path

import numpy as np

from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.encoding import LabelNames, join_splits, read_labels, write_labels
from trainers.data.plan import plan_preparation
from trainers.data.preparation import prepare
from trainers.data.store import Shard, SplitInfo, open_split


def info(rows: int, id_sum: str, counts: tuple[int, ...]) -> SplitInfo:
    shard = Shard(file="f", rows=rows, num_bytes=1, hash="")
    return SplitInfo(
        rows=rows, id_sum=id_sum, shards=(shard,), lengths={3: rows}, class_counts=counts
    )


def test_parts_of_a_split_add_up() -> None:
    joined = join_splits([info(2, "f" * 16, (2,)), info(3, "2".zfill(16), (1, 2))], 3)
    assert (joined.rows, joined.lengths, joined.class_counts) == (5, {3: 5}, (3, 2, 0))
    assert joined.id_sum == "1".zfill(16)
    assert join_splits([], 2).class_counts == (0, 0)
    assert join_splits([info(2, "0" * 16, ())], 0).class_counts == ()


def test_label_names_reach_every_bucket(tmp_path: Path) -> None:
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", numbered_rows(3)))
    plan = plan_preparation(recipe, str(tmp_path), tasks=words.WORDS)
    write_labels(plan, ("b", "a"))
    assert read_labels(plan) == LabelNames(names=("b", "a")).names


def test_rows_given_for_test_are_there_as_often_as_they_came(tmp_path: Path) -> None:
    again = {"text": "one more", "label": "label-0"}
    test = write_lines(tmp_path / "test.jsonl", [again] * 7 + numbered_rows(2))
    train = write_lines(tmp_path / "train.jsonl", numbered_rows(30)[9:])
    recipe = make_recipe(train, data={"test": test, "shard_rows": 4})
    made = prepare(recipe, str(tmp_path), words.WORDS)
    split = made.manifest.splits["test"]
    assert split.rows == 9
    assert [shard.rows for shard in split.shards] == [4, 4, 1]
    rows = open_split(made.data_dir, made.manifest, "test").read(np.arange(9))
    assert rows["input_ids"].to_pylist().count([3, 4]) == 7
    assert sum(split.class_counts) == 9
    inputs = rows["input_id"].to_pylist()
    assert inputs == sorted(inputs)
    assert len(set(inputs)) == 3
