"""Columns and values: what can be text, what can be a label, and what is said otherwise."""

import pyarrow as pa
import pytest

from configs.errors import DataError
from trainers.data.columns import (
    check_columns,
    label_array,
    text_array,
)


def test_missing_columns_name_the_nearest() -> None:
    with pytest.raises(DataError, match=r"a.csv has no column catgory. Nearest: category. Name"):
        check_columns("a.csv", ["text", "catgory"], ["text", "category", "id"])
    with pytest.raises(DataError, match=r"no column text, label. It has: x, y. Name"):
        check_columns("a.csv", ["text", "label"], ["x", "y"])
    check_columns("a.csv", ["x"], ["x", "y"])


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
