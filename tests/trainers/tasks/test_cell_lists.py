"""Lists and numbers out of cells, and rows that are refused."""

import pyarrow as pa
import pytest

from trainers.tasks.cell_lists import finite_numbers, places_among, string_lists
from trainers.tasks.refusals import RowError


def test_lists_come_as_such_as_json_or_as_text() -> None:
    expected = [["a", "b c"], [], ["d"]]
    lists = pa.chunked_array([pa.array(expected)])
    assert string_lists(lists) == expected
    assert string_lists(pa.chunked_array([['["a","b c"]', "[]", '["d"]']])) == expected
    assert string_lists(pa.chunked_array([["a, b c", "", "d"]]), between=",") == expected
    assert string_lists(pa.chunked_array([["a  b\tc", None]])) == [["a", "b", "c"], []]
    # A bracket is a word, as preparation takes it.
    assert string_lists(pa.chunked_array([["[ a ]"]])) == [["[", "a", "]"]]


def test_strings_go_by_their_places() -> None:
    found = places_among([["b"], [], ["c", "a"]], ("a", "b", "c"), "tags", "tag")
    assert found.type == pa.list_(pa.int32())
    assert found.to_pylist() == [[1], [], [2, 0]]
    assert places_among([], ("a", "b"), "tags", "tag").to_pylist() == []


def test_an_unknown_string_is_named_with_its_row() -> None:
    with pytest.raises(RowError, match="tag 'd' in column tags is none of 2") as caught:
        places_among([["b"], [], ["b", "d"]], ("a", "b"), "tags", "tag")
    assert caught.value.index == 2


def test_numbers_are_finite() -> None:
    found = finite_numbers(pa.chunked_array([["0.5", "-2", "1e3"]]), "value")
    assert (found.type, found.to_pylist()) == (pa.float32(), [0.5, -2.0, 1000.0])
    assert finite_numbers(pa.chunked_array([[1, 2]]), "value").to_pylist() == [1.0, 2.0]
    assert finite_numbers(pa.chunked_array([pa.array([], pa.string())]), "value").to_pylist() == []


@pytest.mark.parametrize("wrong", ["much", "nan", "inf", "1e300", "", None])
def test_what_is_no_finite_number_is_refused(wrong: str | None) -> None:
    with pytest.raises(RowError, match=r"column value has .* where a finite number is") as caught:
        finite_numbers(pa.chunked_array([["1", wrong]]), "value")
    assert caught.value.index == 1
