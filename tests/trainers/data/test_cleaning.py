"""Cleaning: what is dropped and why, and on which side of the split a row is."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.data.cleaning import (
    ID_HIGH,
    ID_LOW,
    MAX_EXAMPLES,
    clean_rows,
    drop_missing,
    merge_examples,
)
from trainers.data.row_ids import row_ids

COLUMNS = ("text", "label")
Row = tuple[str, str]


def table(rows: list[Row]) -> pa.Table:
    text, label = (pa.array([row[place] for row in rows], pa.string()) for place in (0, 1))
    high, low = row_ids([text], label)
    return pa.table({"text": text, "label": label, ID_HIGH: high, ID_LOW: low})


def rows_of(kept: pa.Table) -> list[Row]:
    return list(zip(kept["text"].to_pylist(), kept["label"].to_pylist(), strict=True))


def clean(train: list[Row], shares: dict[Any, float] | None = None, **given: list[Row]) -> Any:
    tables = {split: table(rows) for split, rows in {"train": train, **given}.items()}
    return clean_rows(tables, COLUMNS, shares or {})


def test_missing_values_are_dropped_with_reason_and_row() -> None:
    block = pa.table({"text": ["a", None, " \t", "d"], "label": ["x", None, "y", ""]})
    kept, dropped, examples = drop_missing(block, COLUMNS, "f.csv", 11)
    assert kept.to_pylist() == [{"text": "a", "label": "x"}]
    assert dropped == {"missing text": 2, "missing label": 1}
    assert examples == {
        "missing text": ("f.csv row 12", "f.csv row 13"),
        "missing label": ("f.csv row 14",),
    }


def test_exact_duplicates_go_and_other_labels_stay() -> None:
    kept = clean([("a", "x"), ("b", "x"), ("a", "x"), ("a", "y"), ("a", "x")])
    assert sorted(rows_of(kept.rows["train"])) == [("a", "x"), ("a", "y"), ("b", "x")]
    assert kept.duplicates == 2
    assert kept.examples["duplicates"] == ("a | x", "a | x")
    assert kept.conflicts == 2
    assert sorted(kept.examples["conflicts"]) == ["a | x", "a | y"]
    assert kept.dropped == {}


def test_training_rows_that_are_also_in_test_or_validation_go() -> None:
    kept = clean(
        [("a", "x"), ("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")],
        test=[("a", "z"), ("b", "x"), ("b", "x")],
        validation=[("b", "x"), ("c", "y")],
    )
    assert rows_of(kept.rows["train"]) == [("d", "y")]
    assert kept.duplicates == 1
    assert kept.dropped == {"also in test": 2, "also in validation": 1}
    assert kept.examples["also in validation"] == ("c | y",)
    # Evaluation files are evaluated as they are given.
    assert sorted(rows_of(kept.rows["test"])) == [("a", "z"), ("b", "x"), ("b", "x")]


rows = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xy")), max_size=40)


@given(rows, rows, st.floats(0.01, 0.5), st.floats(0.01, 0.49), st.randoms())
@settings(deadline=None)
def test_every_row_is_kept_or_counted_and_no_text_is_on_two_sides(
    train: list[Row], test: list[Row], share: float, other: float, random: Any
) -> None:
    for shares, evaluated in [
        ({"validation": share}, {"test": test}),
        ({"validation": share, "test": other}, {}),
    ]:
        kept = clean(train, shares, **evaluated)
        count = sum(len(part) for part in kept.rows.values())
        assert len(train) + sum(map(len, evaluated.values())) == (
            count + kept.duplicates + sum(kept.dropped.values())
        )
        texts = {split: set(part["text"].to_pylist()) for split, part in kept.rows.items()}
        assert not texts["train"] & texts["validation"]
        assert not texts["train"] & texts["test"]
        random.shuffle(train)
        again = clean(train, shares, **evaluated)
        assert {s: rows_of(part) for s, part in again.rows.items()} == {
            s: rows_of(part) for s, part in kept.rows.items()
        }


def test_shares_are_shares_and_rows_are_sorted_by_id() -> None:
    # 20,000 rows, share 0.1: standard deviation 42 rows; five of them are allowed.
    kept = clean([(f"text {n}", "x") for n in range(20_000)], {"validation": 0.1, "test": 0.3})
    sizes = {split: part.num_rows for split, part in kept.rows.items()}
    assert abs(sizes["validation"] - 2000) < 5 * 42
    assert abs(sizes["test"] - 6000) < 5 * 65
    assert sum(sizes.values()) == 20_000
    for part in kept.rows.values():
        assert (np.diff(part[ID_HIGH].to_numpy()) > 0).all()


def test_examples_are_bounded_and_merge_in_order() -> None:
    kept = clean([("a", "x")] * 100)
    assert len(kept.examples["duplicates"]) == MAX_EXAMPLES
    many = tuple(str(n) for n in range(MAX_EXAMPLES))
    assert merge_examples([{"b": ("x",)}, {"a": ("y",), "b": many}]) == {
        "a": ("y",),
        "b": ("x", *many[:-1]),
    }
