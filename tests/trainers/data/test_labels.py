"""Label names: their order, and what is said about labels that training never sees."""

import pyarrow as pa
import pytest

from configs.errors import DataError
from trainers import masking
from trainers.data.labels import (
    FEW_LABELS,
    MAX_LABELS,
    Distinct,
    LabelCounts,
    choose_label_names,
    known_label_names,
    label_notes,
)


def test_label_with_the_value_of_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_forms", ())
    distinct = Distinct("label", "rows.csv", asked=True)
    distinct.add(pa.chunked_array([["plain", "of canary-91ce-4f"]]))
    masking.hide(["CANARY-91ce-4F"])
    with pytest.raises(DataError, match=r"rows\.csv: column label has the label of \*\*\*") as told:
        distinct.add(pa.chunked_array([["plain", "of canary-91ce-4f", None]]))
    assert "91ce" not in str(told.value)


def choose(asked: tuple[str, ...] | None, counts: LabelCounts) -> tuple[str, ...]:
    return choose_label_names(asked, counts, lambda split, label: f"{split}.csv row 7")


def test_names_are_sorted_and_integers_as_integers() -> None:
    assert choose(None, {"train": {"b": 1, "a": 1, "10": 1}}) == ("10", "a", "b")
    assert choose(None, {"train": {"10": 1, "9": 1, "-3": 1}}) == ("-3", "9", "10")
    # 01 is no integer's decimal string, so these are words.
    assert choose(None, {"train": {"10": 1, "9": 1, "01": 1}}) == ("01", "10", "9")


def test_names_asked_for_keep_their_order_and_may_be_rare() -> None:
    counts = {"train": {"a": 5}, "test": {"b": 1}}
    assert choose(("b", "a", "c"), counts) == ("b", "a", "c")


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_label_outside_training_is_named(split: str) -> None:
    with pytest.raises(
        DataError,
        match=rf"'c' is in 2 rows of {split} \(such as {split}.csv row 7\) and in no",
    ):
        choose(None, {"train": {"a": 1, "b": 1}, split: {"a": 4, "c": 2}})


def test_a_label_that_was_not_asked_for_is_named() -> None:
    with pytest.raises(DataError, match=r"label 'c' \(1 row of train, such as .*\) is not in"):
        choose(("a", "b"), {"train": {"a": 1, "c": 1}})


def test_a_label_that_a_run_does_not_know_is_named() -> None:
    assert known_label_names(("b", "a"), {"a": 3}, lambda label: "") == ("b", "a")
    with pytest.raises(DataError) as refused:
        known_label_names(("b", "a"), {"a": 3, "c": 2}, lambda label: f"new.csv row 7 ({label})")
    assert str(refused.value) == (
        "label 'c' is in 2 rows (such as new.csv row 7 (c)), and the run's model does not know it. "
        "Correct or remove them; it knows b, a"
    )


def test_one_label_is_too_few() -> None:
    with pytest.raises(DataError, match=r"one label only \(a\)"):
        choose(None, {"train": {"a": 9}})


@pytest.mark.parametrize(
    ("count", "rows", "refused"),
    [
        (100_000, 100_000, True),
        (MAX_LABELS + 1, 200_000, True),
        (MAX_LABELS, 200_000, False),
        (FEW_LABELS + 1, FEW_LABELS + 1, True),
        (FEW_LABELS, FEW_LABELS, False),
    ],
)
def test_text_where_labels_were_meant(count: int, rows: int, refused: bool) -> None:
    def check(*, asked: bool) -> None:
        distinct = Distinct("text", "a.csv", asked=asked)
        values = [f"value {number % count}" for number in range(rows)]
        for start in range(0, rows, 10_000):
            distinct.add(pa.chunked_array([values[start : start + 10_000]]))
        distinct.check()

    check(asked=True)
    if not refused:
        check(asked=False)
        return
    sentence = f"a.csv: column text has {count:,} different values in {rows:,} rows.*Set task.label"
    with pytest.raises(DataError, match=sentence):
        check(asked=False)


def test_integers_with_gaps_are_said() -> None:
    assert label_notes(("0", "1", "2")) == label_notes(("a", "3")) == ()
    [note] = label_notes(("0", "1", "3"))
    assert note.startswith("labels are integers from 0 to 3 without 2:")
    assert "without 1, 2, 3, 4, 5, ...:" in label_notes(("0", "9"))[0]
