"""Columns and values: what can be text, what can be a label, and what is said otherwise."""

from datetime import date

import pyarrow as pa
import pytest

from configs.errors import DataError
from configs.task_columns import Column
from trainers.data.cells import Asked
from trainers.data.columns import (
    IMAGE_ROWS,
    MAX_ROWS,
    block_rows,
    check_columns,
    class_column,
    column_array,
    label_array,
    plain_texts,
    tables_of,
    text_array,
    text_columns,
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
    with pytest.raises(DataError, match=r"f: label column l holds date32\[day\] values"):
        label_array(pa.array([date(2026, 1, 1)]), "f", "l")


def test_labels_are_taken_from_booleans_and_whole_floats() -> None:
    """What pandas makes of integers where one is missing."""
    assert label_array(pa.array([True, None]), "f", "l").to_pylist() == ["true", None]
    floats = pa.array([1.0, None, float("nan"), -2.0])
    assert label_array(floats, "f", "l").to_pylist() == ["1", None, None, "-2"]
    with pytest.raises(
        DataError, match=r"label column l holds numbers with a fraction, such as 0\.5"
    ):
        label_array(pa.array([1.0, 0.5]), "f", "l")


def test_cells_of_arrow_columns_are_read_one_by_one() -> None:
    tokens = pa.array([["a", "b"], None, []], pa.list_(pa.large_string()))
    tags = pa.array([[1, 0], None, []], pa.list_(pa.int16()))
    found = column_array(tokens, Asked("t", "words"), "f", 1)
    assert found.to_pylist() == ['["a","b"]', None, "[]"]
    found = column_array(tags, Asked("t", "tags", names=("O", "B")), "f", 1)
    assert found.to_pylist() == ['["B","O"]', None, "[]"]
    image = pa.array([{"bytes": b"\x00", "path": "x"}, {"bytes": None, "path": "y.png"}, None])
    found = column_array(image, Asked("i", "image", folder="/a"), "f", 1)
    assert found.to_pylist() == ["data:;base64,AA==", "/a/y.png", None]
    numbers = pa.array([1, None, 3], pa.float32())
    assert column_array(numbers, Asked("n", "number"), "f", 1).to_pylist() == ["1.0", None, "3.0"]
    with pytest.raises(DataError, match=r"^f row 12: column n is text \(x\), not a number"):
        column_array(pa.array(["1", "x"]), Asked("n", "number"), "f", 11)


def test_keys_that_arrow_adds_are_no_part_of_an_object() -> None:
    """Objects of a column have all keys of its type, those of JSON lines their own."""
    messages = pa.array([[{"role": "user", "name": None}], [{"role": "tool", "name": "x"}]])
    found = column_array(messages, Asked("m", "json"), "f", 1)
    assert found.to_pylist() == ['[{"role":"user"}]', '[{"role":"tool","name":"x"}]']


def test_strings_of_text_files_become_the_texts_of_their_kinds() -> None:
    table = pa.table({"a": ["x y", ""], "b": ["1", "2.50"], "c": ["k", "l"]})
    asked = [Asked("a", "words"), Asked("b", "number"), Asked("c", "key")]
    assert text_columns(table, asked, "f", 1).to_pydict() == {
        "a": ['["x","y"]', ""],
        "b": ["1.0", "2.5"],
        "c": ["k", "l"],
    }
    with pytest.raises(DataError, match=r"^f row 8: column a is text \(x y\), not a number"):
        text_columns(table, [Asked("a", "number"), *asked[1:]], "f", 8)


def test_blocks_with_images_are_small() -> None:
    asked = [Asked("a", "image"), Asked("b", "label")]
    rows = [("/x.png", "a")] * (IMAGE_ROWS + 1)
    assert [table.num_rows for table in tables_of(rows, asked, "f")] == [IMAGE_ROWS, 1]
    assert block_rows(asked[1:]) == MAX_ROWS


def test_classes_and_words_of_a_column() -> None:
    lists = pa.chunked_array([["[]", '["b","a"]'], ['["a"]']])
    assert class_column(lists, Column("c", "labels")).to_pylist() == ["b", "a", "a"]
    labels = pa.chunked_array([["a", ""]])
    assert class_column(labels, Column("c", "label", may_be_empty=True)).to_pylist() == ["a"]
    assert plain_texts(lists, "words").to_pylist() == ["", "b a", "a"]
    assert plain_texts(labels, "text") is labels
