"""Labels as people mean them: blanks, whole floats, words for none, places, vectors of marks."""

import json
from collections import Counter

import pyarrow as pa
import pytest

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from configs.task_columns import Column, ColumnKind
from trainers.data.label_readings import AS_WHOLE, Readings, refuse_mixed

MISSING = Cleaning().missing_words


def readings(kind: ColumnKind, names: tuple[str, ...] | None = None) -> Readings:
    return Readings(Column("label", kind), names, MISSING, "a.csv", Counter())


@pytest.mark.parametrize(
    ("given", "names", "expected", "changed"),
    [
        (["1", "1.0", "2.00"], None, ["1", "1", "2"], {f"label {AS_WHOLE}": 2}),
        (["a", "a ", " b"], None, ["a", "a", "b"], {"label with blanks around it read without": 2}),
        (["a", "NaN", "<NA>"], None, ["a", None, None],
         {"label NaN read as none": 1, "label <NA> read as none": 1}),
        (["no", "none", "None"], ("no", "none", "None"), ["no", "none", "None"], {}),
        (["0", "1", "pos"], ("neg", "pos"), ["neg", "pos", "pos"],
         {"label read as places in task.labels": 2}),
        (["1.0", "0"], ("neg", "pos"), ["pos", "neg"], {"label read as places in task.labels": 2}),
        (["0", "1"], ("1", "0"), ["0", "1"], {}),
        (["5", "1"], ("neg", "pos"), ["5", "pos"], {"label read as places in task.labels": 1}),
        (["1.0", "1.5"], ("1.0", "1.5"), ["1.0", "1.5"], {}),
        (["a\u00a0", None], None, ["a", None], {"label with blanks around it read without": 1}),
        (["", "a"], None, ["", "a"], {}),
    ],
)  # fmt: skip
def test_labels_are_read_as_meant(given, names, expected, changed):
    reader = readings("label", names)
    found = reader.read(pa.chunked_array([given], pa.string()), 1)
    assert found.to_pylist() == expected and dict(reader.changed) == changed


@pytest.mark.parametrize(
    ("kind", "given", "names", "expected"),
    [
        ("labels", ["a ", "b"], None, ["a", "b"]),
        ("labels", ["b", "NaN"], None, ["b"]),
        ("labels", ["1.0", "1"], None, ["1"]),
        ("labels", ["1", "0"], ("x", "y"), ["x", "y"]),
        ("labels", [1, 0, 1], ("x", "y", "z"), ["x", "z"]),
        ("labels", [0, 0, 0], ("x", "y", "z"), []),
        ("tags", ["1", "0", "B-T"], ("O", "B-T"), ["B-T", "O", "B-T"]),
        ("tags", ["O ", "None"], None, ["O", "None"]),
        ("labels", ["plain", "words"], None, ["plain", "words"]),
    ],
)
def test_lists_of_labels_are_read_as_meant(kind, given, names, expected):
    text = json.dumps(given, separators=(",", ":"))
    found = readings(kind, names).read(pa.chunked_array([[text, None, "[]"]], pa.string()), 1)
    assert [json.loads(one) if one else one for one in found.to_pylist()] == [expected, None, []]


@pytest.mark.parametrize("names", [None, ("x", "y"), ("0", "1", "2")])
def test_a_vector_that_may_be_labels_is_refused(names):
    told = r"a\.csv row 8: column label is \[1,0,0\], which may be the labels 0 and 1, or a vector"
    with pytest.raises(DataError, match=told):
        readings("labels", names).read(pa.chunked_array([['["a"]', "[1,0,0]"]]), 7)


def test_numbers_and_names_with_a_point_are_not_guessed_apart():
    refuse_mixed(("0", "1"), {f"label {AS_WHOLE}": 3}, "label")
    refuse_mixed(("0", "1.5"), {}, "label")
    with pytest.raises(DataError, match=r"has 3 labels written like 1\.0, and '1\.5'"):
        refuse_mixed(("0", "1.5"), {f"label {AS_WHOLE}": 3}, "label")
