"""Columns and values: what can be text, what can be a label, and what is said otherwise."""

import pyarrow as pa
import pytest

from configs.errors import DataError
from trainers.data.columns import (
    check_columns,
    label_array,
    label_value,
    text_array,
    text_value,
)


def test_missing_columns_name_the_nearest() -> None:
    with pytest.raises(DataError, match=r"a.csv has no column catgory. Nearest: category. Name"):
        check_columns("a.csv", ["text", "catgory"], ["text", "category", "id"])
    with pytest.raises(DataError, match=r"no column text, label. It has: x, y. Name"):
        check_columns("a.csv", ["text", "label"], ["x", "y"])
    check_columns("a.csv", ["x"], ["x", "y"])


def test_labels_are_strings_or_integers() -> None:
    assert label_value(-12, "p", "label") == "-12"
    assert label_value("01", "p", "label") == "01"
    assert label_value(None, "p", "label") is None
    for value, kind in [
        (True, r"true or false \(True\)"),
        (0.5, r"a number with a fraction \(0.5\)"),
        ([1], r"a list"),
        ({}, r"an object"),
    ]:
        with pytest.raises(DataError, match=rf"a.json line 3: label in column label is {kind}"):
            label_value(value, "a.json line 3", "label")


def test_text_is_text() -> None:
    assert text_value("12", "p", "text") == "12"
    with pytest.raises(DataError, match=r"p: column text is an integer \(12\), not text"):
        text_value(12, "p", "text")


def test_arrow_columns() -> None:
    words = pa.array(["b", None, "a", "b"])
    for column in (words, words.cast(pa.large_string()), words.dictionary_encode()):
        assert text_array(column, "f", "text").equals(words)
        assert label_array(column, "f", "label").equals(words)
    assert label_array(pa.array([10, None, -2], pa.int8()), "f", "l").to_pylist() == [
        "10",
        None,
        "-2",
    ]
    assert label_array(pa.array([7, 7]).dictionary_encode(), "f", "l").to_pylist() == ["7", "7"]
    assert text_array(pa.nulls(2), "f", "t").to_pylist() == [None, None]
    with pytest.raises(DataError, match=r"f: column t holds int64 values, not text"):
        text_array(pa.array([1]), "f", "t")
    for bad, kind in [([True], "bool"), ([0.5], "double")]:
        with pytest.raises(DataError, match=rf"f: label column l holds {kind} values"):
            label_array(pa.array(bad), "f", "l")
