"""Rows with the same inputs: what is dropped and why, and what stays as it is."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from trainers.data.duplicates import (
    COPIES,
    ID_HIGH,
    ID_LOW,
    Kept,
    clean_rows,
    combine,
    drop_leaks,
    ids,
)
from trainers.data.report import MAX_EXAMPLES, PLACE, View, places
from trainers.data.row_ids import row_ids
from trainers.data.store import SPLITS

Row = tuple[str, str]
VIEW = View(("text", "label"), SPLITS)


def table(rows: list[Row], source: int = 0) -> pa.Table:
    text, label = (pa.array([row[place] for row in rows], pa.string()) for place in (0, 1))
    high, low = row_ids([text], label)
    return pa.table(
        {
            "text": text,
            "label": label,
            ID_HIGH: high,
            ID_LOW: low,
            PLACE: places(source, 1, len(rows)),
            COPIES: np.ones(len(rows), np.int64),
        }
    )


def rows_of(rows: pa.Table) -> list[Row]:
    copies = rows[COPIES].to_numpy()
    pairs = list(zip(rows["text"].to_pylist(), rows["label"].to_pylist(), strict=True))
    return [pair for pair, count in zip(pairs, copies, strict=True) for _ in range(count)]


def clean(train: list[Row], conflicts: str = "keep", **given: list[Row]) -> Kept:
    everything = {"train": train, **given}
    tables = {split: table(everything[split], SPLITS.index(split)) for split in everything}
    return clean_rows(tables, VIEW, conflicts)


def test_exact_duplicates_go_and_other_labels_stay() -> None:
    kept = clean([("a", "x"), ("b", "x"), ("a", "x"), ("a", "y"), ("a", "x")])
    assert sorted(rows_of(kept.rows["train"])) == [("a", "x"), ("a", "y"), ("b", "x")]
    tally = kept.tally
    assert (tally.duplicates, tally.conflicts, tally.dropped) == (2, 2, {})
    assert tally.examples["duplicates"] == ("train row 1: a | x",)
    assert sorted(tally.examples["conflicts"]) == ["train row 1: a | x", "train row 4: a | y"]


def test_rows_that_are_also_held_out_go() -> None:
    kept = clean(
        [("a", "x"), ("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")],
        test=[("a", "z"), ("b", "x"), ("b", "x")],
        validation=[("b", "x"), ("b", "x"), ("c", "y")],
    )
    assert rows_of(kept.rows["train"]) == [("d", "y")]
    # What is in test goes from validation, too; test is evaluated as it was given.
    assert rows_of(kept.rows["validation"]) == [("c", "y")]
    assert sorted(rows_of(kept.rows["test"])) == [("a", "z"), ("b", "x"), ("b", "x")]
    assert kept.tally.duplicates == 1
    assert kept.tally.dropped == {"also in test": 4, "also in validation": 1}
    assert kept.tally.contamination == {
        "train rows also in test": 2,
        "train rows also in validation": 1,
        "validation rows also in test": 1,
    }
    assert kept.tally.examples["also in validation"] == ("train row 4: c | y",)


CONFLICTS = [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")]


@pytest.mark.parametrize(
    ("conflicts", "left"),
    [
        ("keep", ["ax", "ay", "bx", "by", "cx"]),
        ("drop", ["cx"]),
        # a is x twice and y once; b is a tie.
        ("majority", ["ax", "cx"]),
    ],
)
def test_conflicting_labels(conflicts: str, left: list[str]) -> None:
    kept = clean(CONFLICTS, conflicts)
    assert sorted("".join(row) for row in rows_of(kept.rows["train"])) == left
    assert kept.tally.conflicts == 4
    assert kept.tally.dropped.get("conflicting label", 0) == 5 - len(left)


def test_conflicting_labels_can_be_refused() -> None:
    with pytest.raises(DataError, match=r"train row \d and train row \d have the same input and"):
        clean(CONFLICTS, "fail")


def test_equal_rows_of_one_block_come_together_and_count() -> None:
    rows = pa.concat_tables([table([("a", "x"), ("b", "y"), ("a", "x")]), table([("a", "x")], 1)])
    once = combine(rows, across_sources=True)
    assert dict(zip(once["text"].to_pylist(), once[COPIES].to_pylist(), strict=True)) == {
        "a": 3,
        "b": 1,
    }
    assert sorted(combine(rows, across_sources=False)[COPIES].to_pylist()) == [1, 1, 2]
    assert combine(rows.slice(0, 0), across_sources=True).num_rows == 0


def test_rows_dealt_to_two_sides_stay_on_the_one_held_out() -> None:
    kept = drop_leaks({"train": table([("a", "x"), ("b", "x")]), "test": table([("a", "y")])}, VIEW)
    assert rows_of(kept.rows["train"]) == [("b", "x")]
    assert kept.tally.dropped == {"also in test": 1}
    assert kept.tally.contamination == {}


rows = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xy")), max_size=40)


@given(rows, rows, rows, st.sampled_from(["keep", "drop", "majority"]), st.randoms())
@settings(deadline=None, max_examples=50)
def test_every_row_is_kept_or_counted_and_no_text_is_on_two_sides(
    train: list[Row], test: list[Row], validation: list[Row], conflicts: str, random: Any
) -> None:
    kept = clean(train, conflicts, test=test, validation=validation)
    count = sum(len(rows_of(part)) for part in kept.rows.values())
    tally = kept.tally
    assert len(train) + len(test) + len(validation) == (
        count + tally.duplicates + sum(tally.dropped.values())
    )
    texts = [set(part["text"].to_pylist()) for part in kept.rows.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    for part in kept.rows.values():
        high, _ = ids(part)
        assert (high[1:] >= high[:-1]).all()
    random.shuffle(train)
    again = clean(train, conflicts, test=test, validation=validation)
    assert {s: rows_of(part) for s, part in again.rows.items()} == {
        s: rows_of(part) for s, part in kept.rows.items()
    }


def test_examples_are_bounded() -> None:
    kept = clean([(str(n), "x") for n in range(50)] * 2)
    assert len(kept.tally.examples["duplicates"]) == MAX_EXAMPLES
