"""Plans: what the fingerprint of a prepared set depends on, and what not."""

from pathlib import Path
from typing import Any

import pytest

from configs.errors import RecipeError
from configs.task_columns import Column, Columns
from tests.trainers.data import words
from tests.trainers.data.kinds import columns, of_kinds
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import BUCKET_BYTES, Plan, plan_preparation
from trainers.data.sources import Source
from trainers.data.store import SplitName


def plan(path: Path, **sections: Any) -> Plan:
    return plan_preparation(make_recipe(path, **sections), "store", tasks=words.WORDS)


def test_the_fingerprint_depends_on_content_not_on_names(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.jsonl", numbered_rows(5))
    second = write_lines(tmp_path / "b.jsonl", numbered_rows(5))
    assert plan(first).fingerprint == plan(second).fingerprint
    write_lines(second, numbered_rows(6))
    assert plan(first).fingerprint != plan(second).fingerprint


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"seed": 5}, True),
        ({"name": "other"}, True),
        ({"batch": {"lanes": 4}}, True),
        ({"batch": {"max_length": 7}}, False),
        ({"data": {"validation": "10%"}}, False),
        ({"data": {"shard_rows": 10}}, False),
        ({"data": {"cleaning": {"min_characters": 2}}}, False),
        ({"data": {"split": {"by": "group", "column": "user"}}}, False),
        ({"task": {"label": "other"}}, False),
        ({"model": {"path": "no/other-model"}}, False),
    ],
)
def test_only_what_changes_the_rows_changes_the_fingerprint(
    tmp_path: Path, changed: dict[str, Any], same: bool
) -> None:
    path = write_lines(tmp_path / "a.jsonl", numbered_rows(5))
    assert (plan(path).fingerprint == plan(path, **changed).fingerprint) is same


def test_two_plans_of_one_preparation_share_the_set_and_the_work_folder(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", numbered_rows(5))
    first, second = plan(path), plan(path)
    assert first.data_dir == second.data_dir
    assert first.work_dir == second.work_dir
    assert first.shard_dir.startswith(first.work_dir)


def test_object_stores_are_written_in_place() -> None:
    sources = [Source(split="train", address="s3://b/a.csv", format="csv", hash="0")]
    made = plan_preparation(
        make_recipe("s3://b/a.csv"), "s3://b/store", sources=sources, tasks=words.WORDS
    )
    assert made.shard_dir == made.data_dir
    again = plan_preparation(
        make_recipe("s3://b/a.csv"), "s3://b/store", sources=sources, tasks=words.WORDS
    )
    assert again.work_dir != made.work_dir


def test_only_the_column_that_rows_are_split_by_is_read_too() -> None:
    sources = [Source(split="train", address="a.csv", format="csv", hash="0")]

    def columns(split: SplitName, **rule: str) -> str | None:
        recipe = make_recipe("a.csv", data={"test": "10%", "split": rule})
        made = plan_preparation(recipe, "store", sources=sources, tasks=words.WORDS)
        return made.extra_column(split)

    assert columns("train") is None
    assert columns("train", by="group", column="user") == "user"
    assert columns("test", by="group", column="user") == "user"
    assert columns("train", by="time", column="when") == "when"
    assert columns("test", by="time", column="when") is None
    assert columns("train", by="group", column="label") is None


@pytest.mark.parametrize(
    ("num_bytes", "kind", "expected"),
    [
        (0, "csv", 1),
        (BUCKET_BYTES, "csv", 1),
        (BUCKET_BYTES + 1, "csv", 2),
        (5 * BUCKET_BYTES, "csv", 8),
        (BUCKET_BYTES, "parquet", 4),
        (10**15, "csv", 8192),
    ],
)
def test_buckets_follow_from_bytes(num_bytes: int, kind: str, expected: int) -> None:
    sources = [Source(split="train", address="a", format=kind, hash="0", num_bytes=num_bytes)]
    recipe = make_recipe("a")
    assert (
        plan_preparation(recipe, "store", sources=sources, tasks=words.WORDS).num_buckets
        == expected
    )


@pytest.mark.parametrize(
    ("target", "sections", "problem"),
    [
        ("labels", {"data": {"test": "10%", "split": {"by": "stratified"}}}, "split.by is strat"),
        (None, {"data": {"test": "10%", "split": {"by": "stratified"}}}, "has not one label. Set"),
        ("label", {"data": {"cleaning": {"near_duplicates": {}}}}, "compares words, but .* images"),
    ],
)
def test_rules_that_rows_of_a_task_cannot_follow(
    target: Any, sections: dict[str, Any], problem: str
) -> None:
    kind = columns(
        Column("image", "image"), target=None if target is None else Column("label", target)
    )
    sources = [Source(split="train", address="a.csv", format="csv", hash="0")]
    with pytest.raises(RecipeError, match=problem):
        plan_preparation(
            make_recipe("a.csv", **sections), "s", sources=sources, tasks=of_kinds(kind)
        )


def test_shards_of_images_have_few_rows() -> None:
    source = Source(split="train", address="a.csv", format="csv", hash="0")
    recipe = make_recipe("a.csv")
    plan = plan_preparation(recipe, "store", sources=[source], tasks=words.WORDS)
    assert plan.shard_rows == recipe.data.shard_rows
    images = Columns((Column("image", "image"),), Column("label", "label"))
    assert plan.model_copy(update={"columns": images}).shard_rows == 2048
    data = recipe.data.model_copy(update={"shard_rows": 5})
    few = plan.model_copy(update={"recipe": recipe.model_copy(update={"data": data})})
    assert few.shard_rows == few.model_copy(update={"columns": images}).shard_rows == 5
