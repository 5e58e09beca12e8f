"""Preparation as a whole: once, atomically, and with a sentence for data that cannot be used."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import DataError
from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.plan import recipe_for
from trainers.data.preparation import Prepared, prepare
from trainers.data.store import open_split


def prepared(path: Path, store: Path, **sections: Any) -> Prepared:
    return prepare(make_recipe(path, **sections), str(store), words.WORDS)


def prepared_rows(folder: Path, rows: list[dict[str, Any]], **sections: Any) -> Prepared:
    return prepared(write_lines(folder / "train.jsonl", rows), folder / "store", **sections)


def left_over(store: Path) -> list[str]:
    return [path.name for path in (store / ".prepared").iterdir() if path.suffix]


def test_the_second_time_is_a_cache_hit(tmp_path: Path) -> None:
    first = prepared_rows(tmp_path, numbered_rows(20))
    second = prepared_rows(tmp_path, numbered_rows(20), seed=9)
    assert (first.cached, second.cached) == (False, True)
    assert (
        second.data_dir
        == first.data_dir
        == str(tmp_path / "store" / ".prepared" / first.manifest.fingerprint)
    )
    assert second.manifest == first.manifest
    assert left_over(tmp_path / "store") == []


def test_rows_and_labels_arrive(tmp_path: Path) -> None:
    rows = [
        {"text": "a bb ccc", "label": 10},
        {"text": "dddd", "label": 9},
        {"text": "", "label": 9},
    ]
    made = prepared_rows(tmp_path, rows)
    assert made.manifest.label_names == ("9", "10")
    found = open_split(made.data_dir, made.manifest, "train").read(np.arange(2)).to_pylist()
    assert sorted((row["input_ids"], row["label"]) for row in found) == [([1, 2, 3], 1), ([4], 0)]
    assert made.manifest.report.dropped == {"missing text": 1}
    assert made.manifest.report.examples == {"missing text": ("train.jsonl row 3",)}


def test_pairs_of_texts(tmp_path: Path) -> None:
    rows = [{"text": "a", "b": "cc", "label": "x"}, {"text": "a", "b": "dd", "label": "y"}]
    made = prepared_rows(tmp_path, rows, task={"text_b": "b"})
    assert made.manifest.splits["train"].rows == 2
    assert made.manifest.report.conflicts == 0


def test_two_at_once_make_one_set(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "train.jsonl", numbered_rows(50))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: prepared(path, tmp_path / "store"), range(4)))
    assert len({each.data_dir for each in made}) == 1
    assert all(each.manifest == made[0].manifest for each in made)
    assert len(list((tmp_path / "store" / ".prepared").iterdir())) == 1
    split = open_split(made[0].data_dir, made[0].manifest, "train")
    assert split.read(np.arange(50)).num_rows == 50


def test_a_damaged_set_is_made_again(tmp_path: Path) -> None:
    first = prepared_rows(tmp_path, numbered_rows(20))
    shard = Path(first.data_dir, "train-00000.arrow")
    content = shard.read_bytes()
    for damage in (lambda: shard.write_bytes(content[:-1]), shard.unlink):
        damage()
        again = prepared_rows(tmp_path, numbered_rows(20))
        assert not again.cached
        assert shard.read_bytes() == content
    assert left_over(tmp_path / "store") == []


def test_nothing_is_left_of_a_preparation_that_fails(tmp_path: Path) -> None:
    good = write_lines(tmp_path / "good.jsonl", numbered_rows(9))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a", "label": "x"}\nnonsense\n')
    with pytest.raises(DataError, match=r"bad.jsonl line 2 is not JSON"):
        prepared(good, tmp_path / "store", data={"train": [str(good), str(bad)]})
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("rows", "sections", "problem"),
    [
        (
            [{"text": " ", "label": "x"}, {"text": "a", "label": None}],
            {},
            r"data.train has no rows left of 2 \(dropped: 1 missing label, 1 missing text\)",
        ),
        (
            numbered_rows(4),
            {"batch": {"lanes": 8}},
            r"batch.lanes \(8\) is more than the training rows \(4\)",
        ),
        (numbered_rows(4, labels=1), {}, r"one label only \(label-0\)"),
        (
            numbered_rows(4),
            {"task": {"labels": ["label-0", "label-1"]}},
            r"train.jsonl row 3: label 'label-2' in column label is not in task.labels",
        ),
        (
            numbered_rows(4),
            {"data": {"test": 0.0001}},
            r"data.test asks for a share of 0.0001 of 4 rows",
        ),
        (numbered_rows(4), {"task": {"text": "txet"}}, r"no column txet. Nearest: text"),
        (
            numbered_rows(4),
            {"data": {"cleaning": {"max_characters": 4}}},
            r"data.train has no rows left of 4 \(dropped: 4 too long text\)",
        ),
        (
            [{"text": f"{n}", "label": f"text {n}"} for n in range(2000)],
            {},
            r"train.jsonl: column label has 2,000 different values in 2,000 rows.*Set task.label",
        ),
        (
            [*numbered_rows(40), {"text": "rare", "label": "rare"}],
            {"data": {"validation": "10%", "test": "10%", "split": {"by": "stratified"}}},
            r"label 'rare' in column label has 1 different rows, fewer than the 3 splits",
        ),
        (
            numbered_rows(4),
            {"data": {"test": "50%", "split": {"by": "group", "column": "user"}}},
            r"has no column user",
        ),
        (
            [{**row, "user": "ann" if n else None} for n, row in enumerate(numbered_rows(4))],
            {"data": {"test": "50%", "split": {"by": "group", "column": "user"}}},
            r"train.jsonl row 1: column user is empty, and rows are split by it. Give every row",
        ),
        (
            [{**row, "user": "ann"} for row in numbered_rows(40)],
            {"data": {"test": "1%", "split": {"by": "group", "column": "user"}}},
            r"asks for a share of 0.01 of 40 rows by group of user and gets none",
        ),
        (
            [{**row, "when": f"{n}"} for n, row in enumerate([*numbered_rows(4)])]
            + [{"text": "a", "label": "label-0", "when": "soon"}],
            {"data": {"test": "50%", "split": {"by": "time", "column": "when"}}},
            r"train.jsonl row 5: column when is 'soon', not a time. Write times in ISO 8601",
        ),
    ],
)
def test_data_that_cannot_be_used(
    tmp_path: Path, rows: list[dict[str, Any]], sections: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        prepared_rows(tmp_path, rows, **sections)


def test_lanes_are_checked_on_a_cache_hit_too(tmp_path: Path) -> None:
    prepared_rows(tmp_path, numbered_rows(4))
    with pytest.raises(DataError, match=r"Use at most 4 lanes"):
        prepared_rows(tmp_path, numbered_rows(4), batch={"lanes": 5})


def test_a_label_in_the_test_file_only_is_named(tmp_path: Path) -> None:
    test = write_lines(tmp_path / "test.jsonl", [{"text": "new", "label": "unseen"}])
    with pytest.raises(
        DataError,
        match=r"'unseen' is in 1 row of test \(such as test.jsonl row 1\) and in no",
    ):
        prepared_rows(tmp_path, numbered_rows(6), data={"test": test})


def test_a_train_file_that_is_all_in_test_leaves_nothing(tmp_path: Path) -> None:
    test = write_lines(tmp_path / "test.jsonl", numbered_rows(6))
    with pytest.raises(DataError, match=r"no rows left of 6 \(dropped: 6 also in test\)"):
        prepared_rows(tmp_path, numbered_rows(6), data={"test": test})


SPLIT_RULES = [
    {},
    {"cleaning": {"near_duplicates": {"threshold": 0.6}, "missing": "drop"}},
    {"split": {"by": "group", "column": "who"}},
    {"validation": 0.2, "split": {"by": "stratified"}},
]


@pytest.mark.parametrize("rules", SPLIT_RULES)
def test_a_file_alone_gives_the_rows_that_it_gives_as_the_test_split(
    tmp_path: Path, rules: dict[str, Any]
) -> None:
    rows = [{**row, "who": f"p{n % 7}"} for n, row in enumerate(numbered_rows(60))]
    train = write_lines(tmp_path / "train.jsonl", rows)
    # Some rows that training has, some twice, one empty that is dropped or refused by the rule.
    asked = [*rows[5:9], *rows[:2], *numbered_rows(90)[60:], *numbered_rows(90)[70:73]]
    asked = [{"who": "q", **row} for row in asked] + [{"text": "", "label": "label-0", "who": "q"}]
    new = write_lines(tmp_path / "new.jsonl", asked)
    before = prepared(train, tmp_path / "store", data={"test": new, **rules})
    run = prepared(train, tmp_path / "store", data=rules)
    train.unlink()  # nobody reads it again
    recipe = recipe_for(make_recipe(train, data=rules), str(new))
    names = run.manifest.label_names
    alone = prepare(recipe, str(tmp_path / "store"), words.WORDS, labels=names)
    assert list(alone.manifest.splits) == ["test"]
    assert alone.manifest.label_names == before.manifest.label_names
    ours, theirs = alone.manifest.splits["test"], before.manifest.splits["test"]
    assert (ours.rows, ours.id_sum) == (theirs.rows, theirs.id_sum)
    every = np.arange(ours.rows)
    read = [open_split(p.data_dir, p.manifest, "test").read(every) for p in (alone, before)]
    assert read[0].equals(read[1])
    again = prepare(recipe, str(tmp_path / "store"), words.WORDS, labels=names)
    assert again.cached
    other = prepare(recipe, str(tmp_path / "store"), words.WORDS, labels=(*names, "more"))
    assert other.data_dir != alone.data_dir


def test_what_a_file_alone_lacks_is_said(tmp_path: Path) -> None:
    run = prepared_rows(tmp_path, numbered_rows(20))
    for row, said in (
        (
            {"text": "a", "label": "other"},
            r"'other' is in 1 row \(such as new.jsonl row 1\)",
        ),
        ({"text": "", "label": "label-0"}, "new.jsonl has no rows left of 1"),
    ):
        new = write_lines(tmp_path / "new.jsonl", [row])
        recipe = recipe_for(make_recipe(tmp_path / "train.jsonl"), str(new))
        with pytest.raises(DataError, match=said):
            prepare(recipe, str(tmp_path), words.WORDS, labels=run.manifest.label_names)


def test_integers_with_gaps_are_fine_but_said(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": [0, 1, 3][n % 3]} for n in range(9)]
    manifest = prepared_rows(tmp_path, rows).manifest
    assert manifest.label_names == ("0", "1", "3")
    assert "without 2" in manifest.report.notes[0]


def test_progress_goes_up_to_the_end(tmp_path: Path) -> None:
    said: list[tuple[str, float]] = []
    recipe = make_recipe(write_lines(tmp_path / "a.jsonl", numbered_rows(50)))
    prepare(recipe, str(tmp_path), words.WORDS, lambda what, share: said.append((what, share)))
    shares = [share for _, share in said]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert list(dict.fromkeys(what for what, _ in said)) == [
        "reading",
        "cleaning",
        "splitting",
        "tokenising",
        "proving",
    ]


@pytest.mark.skipif("THAW_TEST_DATA" not in os.environ, reason="THAW_TEST_DATA names no folder")
def test_banking77_is_whole(tmp_path: Path) -> None:
    folder = Path(os.environ["THAW_TEST_DATA"], "banking77")
    made = prepared(
        folder / "train.csv",
        tmp_path,
        task={"label": "category"},
        data={"test": folder / "test.csv", "validation": "10%"},
    )
    rows = {name: info.rows for name, info in made.manifest.splits.items()}
    assert rows["test"] == 3080
    assert rows["train"] + rows["validation"] == 10_003
    assert len(made.manifest.label_names) == 77
    assert made.manifest.report.duplicates == 0
