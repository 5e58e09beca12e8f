"""Stages: any number of buckets and any order of work make the same rows in the same order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import Plan, plan_preparation
from trainers.data.preparation import choose_labels, publish
from trainers.data.stages import clean_bucket, encode_bucket, scatter_source
from trainers.data.store import Manifest, open_split


def run(plan: Plan, *, backwards: bool) -> Manifest:
    """Run the stages as machines would: those of one kind in any order."""
    step = -1 if backwards else 1
    scattered = {n: scatter_source(plan, n) for n in range(len(plan.sources))[::step]}
    buckets = range(plan.num_buckets)[::step]
    by_bucket = {bucket: clean_bucket(plan, bucket) for bucket in buckets}
    cleaned = [by_bucket[bucket] for bucket in range(plan.num_buckets)]
    in_order = [scattered[n] for n in range(len(plan.sources))]
    names = choose_labels(plan, in_order, cleaned)
    encoded = {b: encode_bucket(plan, b, names, cleaned, words) for b in buckets}
    parts = [encoded[bucket] for bucket in range(plan.num_buckets)]
    return publish(plan, names, in_order, cleaned, parts)


def make_plan(folder: Path, store: str, num_buckets: int, **data: Any) -> Plan:
    rows = numbered_rows(500)
    first = write_lines(folder / "1.jsonl", [*rows[:300], *rows[:20]])
    second = write_lines(folder / "2.jsonl", [*rows[250:], {"text": "", "label": "label-0"}])
    test = write_lines(folder / "t.jsonl", rows[100:140])
    recipe = make_recipe(first, data={"train": [str(first), str(second)], "test": test, **data})
    plan = plan_preparation(recipe, str(folder / store), tasks=words)
    return plan.model_copy(update={"num_buckets": num_buckets})


def contents(plan: Plan, manifest: Manifest) -> dict[str, Any]:
    found = {}
    for name, info in manifest.splits.items():
        rows = open_split(plan.data_dir, manifest, name).read(np.arange(info.rows))
        found[name] = rows.to_pydict()
    return found


@pytest.mark.parametrize("num_buckets", [1, 2, 8])
def test_buckets_and_the_order_of_work_do_not_show(tmp_path: Path, num_buckets: int) -> None:
    reference = make_plan(tmp_path, "reference", 1, validation="20%")
    plan = make_plan(tmp_path, "store", num_buckets, validation="20%")
    expected = run(reference, backwards=False)
    made = run(plan, backwards=True)
    assert contents(plan, made) == contents(reference, expected)
    for split, info in made.splits.items():
        assert info.model_dump(exclude={"shards"}) == expected.splits[split].model_dump(
            exclude={"shards"}
        )
    assert made.report == expected.report
    assert made.report.duplicates == 70
    assert made.report.dropped == {"also in test": 40, "missing text": 1}


def test_the_same_work_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (make_plan(tmp_path, store, 4) for store in ("one", "two"))
    assert run(first, backwards=False) == run(second, backwards=True)


def test_shards_are_cut_numbered_and_described(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "store", 2, shard_rows=100)
    manifest = run(plan, backwards=True)
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
