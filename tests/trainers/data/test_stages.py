"""Stages: any number of buckets, any order of work and any kill make the same rows, in order."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.encoding import encode_bucket
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import Runner, Stage, prepare_plan
from trainers.data.stages import Tick
from trainers.data.store import Manifest, open_split

NEAR = {"cleaning": {"near_duplicates": {"threshold": 0.3, "shingle_words": 1}}}


class Killed(BaseException):
    """Ends a preparation without a word."""


def runner(seed: int, limit: int | None = None, done: list[str] | None = None) -> Runner:
    """Run the stages as machines would: those of one kind in any order; end after `limit`."""
    shuffled = random.Random(seed)
    count = 0

    def run(stage: Stage, plan: Plan, items: Sequence[Any], tick: Tick) -> list[Any]:
        nonlocal count
        order = list(range(len(items)))
        shuffled.shuffle(order)
        made = {}
        for place in order:
            if count == limit:
                raise Killed
            count += 1
            tasks = (words.WORDS,) if stage is encode_bucket else ()
            made[place] = stage(plan, items[place], *tasks)
            if done is not None:
                done.append(f"{stage.__name__} {place}")
        return [made[place] for place in range(len(items))]

    return run


def make_plan(folder: Path, store: str, num_buckets: int, **data: Any) -> Plan:
    rows = numbered_rows(500)
    first = write_lines(folder / "1.jsonl", [*rows[:300], *rows[:20]])
    second = write_lines(folder / "2.jsonl", [*rows[250:], {"text": "", "label": "label-0"}])
    test = write_lines(folder / "t.jsonl", rows[100:140])
    recipe = make_recipe(first, data={"train": [str(first), str(second)], "test": test, **data})
    plan = plan_preparation(recipe, str(folder / store), tasks=words.WORDS)
    return plan.model_copy(update={"num_buckets": num_buckets})


def contents(plan: Plan, manifest: Manifest) -> dict[str, Any]:
    found = {}
    for name, info in manifest.splits.items():
        rows = open_split(plan.data_dir, manifest, name).read(np.arange(info.rows))
        found[name] = rows.to_pydict()
    return found


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize("num_buckets", [1, 2, 8])
@pytest.mark.parametrize("rules", [{}, {"split": {"by": "stratified"}}, NEAR])
def test_buckets_and_the_order_of_work_do_not_show(
    tmp_path: Path, num_buckets: int, rules: dict[str, Any]
) -> None:
    reference = make_plan(tmp_path, "reference", 1, validation="20%", **rules)
    plan = make_plan(tmp_path, "store", num_buckets, validation="20%", **rules)
    expected = prepare_plan(reference, runner(0)).manifest
    made = prepare_plan(plan, runner(1)).manifest
    assert contents(plan, made) == contents(reference, expected)
    for split, info in made.splits.items():
        assert info.model_dump(exclude={"shards"}) == expected.splits[split].model_dump(
            exclude={"shards"}
        )
    assert made.report == expected.report
    assert made.report.duplicates == 70
    dropped = made.report.dropped
    assert {"also in test": 40, "missing text": 1}.items() <= dropped.items()
    assert any("near" in reason for reason in dropped) == (rules is NEAR)


@pytest.mark.parametrize("rules", [{}, {"split": {"by": "stratified"}, **NEAR}])
def test_a_preparation_that_is_killed_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, rules: dict[str, Any]
) -> None:
    whole, all_work = make_plan(tmp_path, "whole", 2, validation="20%", **rules), list[str]()
    prepare_plan(whole, runner(0, done=all_work))
    for limit in range(0, len(all_work), 1 if not rules else 4):
        plan = make_plan(tmp_path, "killed", 2, validation="20%", **rules)
        with pytest.raises(Killed):
            prepare_plan(plan, runner(limit, limit))
        assert not Path(plan.data_dir).exists()
        notes = {path.name: path.stat().st_mtime_ns for path in Path(plan.work_dir).glob("done/*")}
        assert len(notes) == limit - sum("prove" in work for work in all_work[:limit])
        prepare_plan(plan, runner(limit + 1))
        assert files(plan.data_dir) == files(whole.data_dir)
        assert [path.name for path in (tmp_path / "killed" / ".prepared").iterdir()] == [
            plan.fingerprint
        ]
        shutil.rmtree(tmp_path / "killed")


def test_what_was_done_before_a_kill_is_not_done_again(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "killed", 2)
    with pytest.raises(Killed):
        prepare_plan(plan, runner(0, 7))
    before = {path: path.stat().st_mtime_ns for path in Path(plan.work_dir).rglob("*.arrow")}
    assert len(before) > 5
    with pytest.raises(Killed):
        prepare_plan(plan, runner(0, 9))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_rows_of_one_bucket_that_are_all_the_same_take_no_room(tmp_path: Path) -> None:
    rows = [{"text": "the same", "label": "label-1"}] * 50_000
    path = write_lines(tmp_path / "a.jsonl", [*rows, *numbered_rows(9)])
    plan = plan_preparation(make_recipe(path), str(tmp_path / "store"), tasks=words.WORDS)
    bytes_on_the_way = []

    def run(stage: Stage, plan: Plan, items: Sequence[Any], tick: Tick) -> list[Any]:
        made = runner(0)(stage, plan, items, tick)
        found = Path(plan.work_dir, "scattered").glob("*.arrow")
        bytes_on_the_way.append(sum(path.stat().st_size for path in found))
        return made

    manifest = prepare_plan(plan, run).manifest
    assert manifest.report.duplicates == 49_999
    assert manifest.splits["train"].rows == 10
    assert bytes_on_the_way[0] < 5_000


def test_shards_are_cut_numbered_and_described(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "store", 2, shard_rows=100)
    manifest = prepare_plan(plan, runner(3)).manifest
    info = manifest.splits["train"]
    assert [shard.file for shard in info.shards] == [
        f"train-{number:05d}.arrow" for number in range(len(info.shards))
    ]
    assert max(shard.rows for shard in info.shards) <= 100
    assert sum(shard.rows for shard in info.shards) == info.rows == 460
    rows = open_split(plan.data_dir, manifest, "train").read(np.arange(info.rows))
    lengths = rows["length"].to_pylist()
    assert info.lengths == {length: lengths.count(length) for length in sorted(set(lengths))}
    labels = rows["label"].to_pylist()
    assert info.class_counts == tuple(labels.count(number) for number in range(3))
    assert int(info.id_sum, 16) == sum(rows["row_id"].to_pylist()) % 2**64
    assert rows["input_id"].to_pylist() == sorted(rows["input_id"].to_pylist())
