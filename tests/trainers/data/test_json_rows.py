"""JSON: Python's json writes it, both parsers read it alike, and what is wrong is named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from trainers.data import json_rows, text_streams
from trainers.data.cells import Asked
from trainers.data.json_rows import _Columns, _parse, read_json, read_json_lines

COLUMNS = [Asked("text", "text"), Asked("label", "label")]
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=9)
rows = st.lists(texts, min_size=1, max_size=9).flatmap(
    lambda given: st.tuples(
        st.just(given),
        st.lists(st.none() | st.integers(), min_size=len(given), max_size=len(given))
        | st.lists(texts, min_size=len(given), max_size=len(given)),
    )
)


@contextmanager
def small_reads(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "READ_BYTES", size)
        patch.setattr(text_streams, "READ_BYTES", size)
        yield


def cells(tables: Any) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def lines(path: Path) -> list[tuple[str | None, ...]]:
    return cells(read_json_lines(path, "rows", COLUMNS))


def whole(path: Path, field: str | None = None) -> list[tuple[str | None, ...]]:
    return cells(read_json(path, "rows", COLUMNS, "utf-8", field))


@settings(deadline=None)
@given(rows, st.booleans(), st.integers(1, 50))
def test_what_python_writes_is_read_back(
    given: tuple[list[str | None], list[Any]], ascii_only: bool, size: int
) -> None:
    # The first row tells of both columns: a column that no row has is an error.
    first = type(next((x for x in given[1] if x is not None), ""))(7)
    pairs = [("first", first), *zip(*given, strict=True)]
    records = [{"text": text, "more": [1.5, {"a": None}], "label": label} for text, label in pairs]
    expected = [(text, None if label is None else str(label)) for text, label in pairs]
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        dumped = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
        path.write_text("\n".join(dumped), encoding="utf-8")
        assert lines(path) == expected
        with small_reads(size):
            assert lines(path) == whole(path) == expected
        path.write_text(json.dumps(records, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
        assert whole(path) == expected
        with small_reads(size):
            assert whole(path) == expected
        path.write_text(json.dumps({"rows": [list(pair) for pair in pairs]}), encoding="utf-8")
        assert whole(path, "rows") == expected


def test_dates_and_numbers_in_text_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('{"text": "2024-01-01", "label": "01"}\n{"text": "5", "label": "true"}\n')
    assert lines(path) == [("2024-01-01", "01"), ("5", "true")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"text": "a", "label": 1}\n{"text": "a" "label"}\n', "rows line 2 is not JSON"),
        ('{"text": "a", "label": 1}\n[1]\n', "rows line 2 is no JSON object"),
        ('{"text": "a", "label": 1}{"text": "b", "label": 1}\n', "rows line 1 is not JSON"),
        ('{"text": "a", "label": 1.5}\n', "rows line 1: label in column label is a number"),
        ('{"text": "a", "label": 1}\n{"text": 5, "label": 1}\n', "line 2: column text is an int"),
        ('{"texts": "a", "label": 1}\n', "rows has no column text. Nearest: texts"),
        ('{"text": "na\xefve"}\n', r"rows line 1 is not UTF-8 \(byte 0xef\)"),
        (
            '{"text": "a", "label": 1}\n' * 3 + '{"text": "a", "label": "one"}\n',
            r"rows line 4: column label changes from integers to strings \('one'\). Write all",
        ),
        ('{"text": "\\ud800", "label": 1}\n', "rows holds half a surrogate pair"),
        ("[" * 100_000, "rows line 1 is not JSON"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=problem):
        lines(path)
    with small_reads(30), pytest.raises(DataError, match=problem):
        lines(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"text": "a", "label": 1}, 5]', "rows row 2 is no JSON object"),
        (
            '[{"text": "a", "label": 1},\n {"text": "a"',
            r"not JSON.*\(line 2, after row 1\)",
        ),
        ('[{"text": "a", "label": 1},\n {"text" "a"}, {}]', r"not JSON: .*\(line 2, after row 1\)"),
        ('[{"text": "a", "label": 1} {}]', r"not JSON: Expecting ',' delimiter \(line 1, after"),
        ('[{"text": "a", "label": 1}, ]', "rows is not JSON: Expecting value"),
        ('[{"text": "a", "label": 1}] x', "rows has more after its list"),
        ('[{"text": "a"}]', "rows has no column label"),
        ('[{"text": "a\xef"}]', "rows line 1 is not UTF-8"),
    ],
)
def test_wrong_lists_are_named(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=problem):
        whole(path)
    with small_reads(3), pytest.raises(DataError, match=problem):
        whole(path)


def test_a_field_that_is_no_list_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('{"train": [["a", "x"]], "dev": [], "n": 1}')
    assert whole(path, "train") == [("a", "x")]
    with pytest.raises(DataError, match=r"rows has no list n. Set field to one of: train, dev"):
        whole(path, "n")
    path.write_text("[]")
    with pytest.raises(DataError, match=r"rows is no JSON object. Leave out field"):
        whole(path, "n")


@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\n\t \r\n", "\n\n\n"])
@pytest.mark.parametrize("start", ["", "\n", " \n\n"])
def test_blank_lines_are_left_to_arrow(start: str, end: str) -> None:
    pair = '{"text": "a", "label": 1}' + end + '{"text": "b", "label": 2}'
    for content in (start + pair, start + pair + end):
        table = _parse(content.encode(), _Columns("rows", COLUMNS))
        assert table is not None
        assert table.to_pylist() == [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]
    # Two objects in a line are no JSON lines, however many blank lines make up for it.
    assert _parse((pair.replace(end, "") + "\n" + end).encode(), _Columns("rows", COLUMNS)) is None


def test_keys_that_rows_are_split_by_are_read_by_arrow_too(tmp_path: Path) -> None:
    asked = [*COLUMNS, Asked("user", "key")]
    path = tmp_path / "rows"
    for users, is_fast in [
        (["a", "b"], True),
        ([1, 2], True),
        ([1, 0.5], False),
        ([1, "a"], False),
    ]:
        rows = [{"text": "t", "label": "x", "user": user} for user in users]
        content = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(content)
        assert (_parse(content.encode(), _Columns("rows", asked)) is not None) == is_fast
        found = cells(read_json_lines(path, "rows", asked))
        assert found == [("t", "x", str(user)) for user in users]


def test_other_kinds_are_read_by_python(tmp_path: Path) -> None:
    asked = [Asked("a", "words"), Asked("b", "number"), Asked("c", "json")]
    path = tmp_path / "rows"
    path.write_text('{"a": ["x"], "b": 1e3, "c": {"d": [1]}}\n\n{"a": "y z", "b": "2", "c": []}\n')
    assert cells(read_json_lines(path, "rows", asked)) == [
        ('["x"]', "1000.0", '{"d":[1]}'),
        ('["y","z"]', "2.0", "[]"),
    ]
    path.write_text('{"a": ["x"], "b": NaN, "c": {}}\n')
    assert cells(read_json_lines(path, "rows", asked)) == [('["x"]', "", "{}")]
    path.write_text('{"a": ["x"], "b": Infinity, "c": {}}\n')
    with pytest.raises(DataError, match=r"rows line 1: column b is .* \(inf\), not a number"):
        cells(read_json_lines(path, "rows", asked))
