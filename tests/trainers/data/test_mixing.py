"""Mixing: exact numbers, the same rows whatever their order, and sources that keep their names."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.mixing import Counted, choose_quotas
from trainers.data.preparation import Prepared, prepare
from trainers.data.sources import Source
from trainers.data.store import open_split


def source(name: str, **options: Any) -> Source:
    return Source(split="train", address="a", format="csv", name=name, **options)


def counted(**rows: list[int]) -> list[Counted]:
    """Rows of sources by bucket, as the buckets tell them."""
    buckets = zip(*rows.values(), strict=True)
    return [Counted(rows={"train": dict(zip(rows, each, strict=True))}) for each in buckets]


def totals(sources: list[Source], **rows: list[int]) -> dict[str, int]:
    quotas = choose_quotas(sources, counted(**rows)).get("train", {})
    return {name: sum(quota) for name, quota in quotas.items()}


def test_caps_are_exact_over_files_and_buckets() -> None:
    sources = [source("a", max_rows=10), source("a", max_rows=10), source("b")]
    assert totals(sources, a=[12, 9]) == {"a": 10}
    assert choose_quotas(sources, counted(a=[12, 9])) == {"train": {"a": (6, 4)}}
    assert totals(sources, a=[4, 2]) == {"a": 6}
    assert choose_quotas([source("b")], []) == {}


def test_weights_are_proportions_and_the_scarcest_source_is_taken_whole() -> None:
    sources = [source("a", weight=3), source("b", weight=1), source("c", weight=0.1)]
    rows = {"a": [900, 100], "b": [500, 0], "c": [0, 20]}
    assert totals(sources, **rows) == {"a": 600, "b": 200, "c": 20}
    capped = [source("a", weight=3, max_rows=30), source("b", weight=1)]
    assert totals(capped, a=[900, 100], b=[500, 0]) == {"a": 30, "b": 10}
    with pytest.raises(DataError, match="source b has no rows to mix"):
        totals(capped, a=[1, 0], b=[0, 0])


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(1, 300))
def test_no_bucket_gives_more_than_it_has(rows: list[int], cap: int) -> None:
    quota = choose_quotas([source("a", max_rows=cap)], counted(a=rows))["train"]["a"]
    assert sum(quota) == min(cap, sum(rows))
    assert all(0 <= taken <= there for taken, there in zip(quota, rows, strict=True))


def mixed(folder: Path, store: str, entries: list[dict[str, Any]], **data: Any) -> Prepared:
    recipe = make_recipe("x", data={"train": entries, **data})
    return prepare(recipe, str(folder / store), words.WORDS)


def rows_by_source(made: Prepared, split: Any = "train") -> Counter[str]:
    info = made.manifest.splits[split]
    numbers = open_split(made.data_dir, made.manifest, split).read(np.arange(info.rows))["source"]
    return Counter(made.manifest.sources[number] for number in numbers.to_pylist())


def test_rows_keep_their_source_and_caps_choose_by_content(tmp_path: Path) -> None:
    rows = numbered_rows(400)
    news, chat = rows[:300], [{**row, "text": f"chat {row['text']}"} for row in rows]
    entries = [
        {"path": str(write_lines(tmp_path / "news.jsonl", news)), "name": "news", "max_rows": 100},
        {"path": str(write_lines(tmp_path / "chat.jsonl", chat)), "name": "chat"},
    ]
    made = mixed(tmp_path, "one", entries, validation="20%")
    assert made.manifest.sources == ("chat", "news")
    found = rows_by_source(made) + rows_by_source(made, "validation")
    assert found == {"news": 100, "chat": 400}
    assert 5 < rows_by_source(made, "validation")["news"] < 40  # about 20 of 100: 5 deviations
    for split, info in made.manifest.splits.items():
        counts = dict(zip(made.manifest.sources, info.source_counts, strict=True))
        assert counts == rows_by_source(made, split)
    assert made.manifest.report.dropped == {"beyond the share of news": 200}
    write_lines(tmp_path / "news.jsonl", news[::-1])
    again = mixed(tmp_path, "two", entries[::-1], validation="20%")
    for split in ("train", "validation"):
        count = np.arange(made.manifest.splits[split].rows)
        first, second = (open_split(m.data_dir, m.manifest, split) for m in (made, again))
        assert first.read(count) == second.read(count)


def test_of_equal_rows_the_first_source_by_name_keeps_its_own(tmp_path: Path) -> None:
    path = str(write_lines(tmp_path / "a.jsonl", numbered_rows(30)))
    entries = [{"path": path, "name": "b"}, {"path": path, "name": "a"}]
    made = mixed(tmp_path, "one", entries)
    assert rows_by_source(made) == {"a": 30}
    assert made.manifest.splits["train"].source_counts == (30,)
    assert made.manifest.report.duplicates == 30


def test_names_and_shares_make_another_set_but_places_do_not(tmp_path: Path) -> None:
    first = str(write_lines(tmp_path / "a.jsonl", numbered_rows(30)))
    second = str(write_lines(tmp_path / "b.jsonl", numbered_rows(30)))
    entries = [{"path": first}, {"path": second}, {"path": first, "name": "x"}]
    entries += [{"path": first, "max_rows": 7}, {"path": first, "max_rows": 8}]
    made = [mixed(tmp_path, "store", [entry]).manifest.fingerprint for entry in entries]
    assert made[0] == made[1]
    assert len(set(made)) == 4
