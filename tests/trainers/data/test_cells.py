"""Cells: each kind takes what it can hold from any source, and says what it cannot."""

import base64
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from configs.task_columns import Column
from trainers.data.cells import Asked, cell_text, class_names, empty_text, plain_text


def text(kind: Any, value: object, **options: Any) -> str | None:
    return cell_text(value, Asked("c", kind, **options), "a.json line 3")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "12", "12"),
        ("label", -12, "-12"),
        ("label", "01", "01"),
        ("label", True, "true"),
        ("label", 2.0, "2"),
        ("label", float("nan"), None),
        ("labels", [1, 0, 0], "[1,0,0]"),
        ("labels", "1,0", "[1,0]"),
        ("labels", [True, False], "[1,0]"),
        ("labels", [1.0, 2.0], '["1","2"]'),
        ("tags", [0.0, 2.0], '["0","2"]'),
        ("number", float("nan"), ""),
        ("labels", ["b", "a", "b"], '["a","b"]'),
        ("labels", "b, a,", '["a","b"]'),
        ("labels", ' ["b", "a"]', '["a","b"]'),
        ("labels", [10, 9], '["10","9"]'),
        ("labels", 7, '["7"]'),
        ("labels", [], "[]"),
        ("labels", "[]", "[]"),
        ("labels", " ", ""),
        ("tags", ["O", "B-\u00e9", "O"], '["O","B-\u00e9","O"]'),
        ("tags", "O B-PER  O", '["O","B-PER","O"]'),
        ("tags", '["O", 1]', '["O","1"]'),
        ("words", ["a b", ""], '["a b",""]'),
        ("words", "[ 1 ] see\tthere", '["[","1","]","see","there"]'),
        ("words", '["a", "b"]', '["a","b"]'),
        ("words", "[]", "[]"),
        ("number", "0.50", "0.5"),
        ("number", 1, "1.0"),
        ("number", Decimal("1e-3"), "0.001"),
        ("number", " ", ""),
        ("json", {"b": 1, "a": [None, "\u00e9"]}, '{"b":1,"a":[null,"\u00e9"]}'),
        ("json", '[{"a": 1}]', '[{"a":1}]'),
        ("json", "", ""),
        ("image", "s3://b/a.png", "s3://b/a.png"),
        ("image", "data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        ("image", "/a.png", "/a.png"),
        ("image", "more/a.png", "/there/more/a.png"),
        ("image", {"bytes": None, "path": "a.png"}, "/there/a.png"),
        ("image", {"bytes": b"\x00\xff", "path": "a.png"}, "data:;base64,AP8="),
        ("image", {"bytes": None, "path": None}, None),
        ("image", b"\x00\xff", "data:;base64,AP8="),
        ("key", 3, "3"),
        ("key", 0.25, "0.25"),
        ("key", math.nan, None),
        ("key", True, "true"),
        ("key", date(2024, 2, 1), "2024-02-01"),
        ("key", datetime(2024, 2, 1, 3, tzinfo=UTC), "2024-02-01T03:00:00+00:00"),
        ("key", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ],
)
def test_each_kind_has_one_text(kind: str, value: object, expected: str | None) -> None:
    assert text(kind, value, folder="/there") == expected
    assert text(kind, None) is None


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("text", 12, r"column c is an integer \(12\), not text. Write it as a string"),
        ("label", 0.5, r"label in column c is a number with a fraction \(0.5\)"),
        ("label", 0.5, r"label in column c is a number with a fraction \(0.5\)"),
        ("label", [1], r"label in column c is a list"),
        ("label", {}, r"label in column c is an object"),
        (
            "labels",
            [0.5],
            r"label in column c is a number with a fraction \(0.5\). Write",
        ),
        (
            "labels",
            "['a', 'b']",
            r"labels in column c are no list of strings but .* no JSON. .*comm",
        ),
        ("labels", ["a", ""], r"column c has an empty label. Name it, or take it out"),
        ("tags", ["O", 0.5], r"tags in column c are no list of strings but a list with a number"),
        ("tags", {"a": 1}, r"tags in column c are no list of strings but an object"),
        ("tags", ["O", None], r"tags in column c are no list of strings but a list with NoneType"),
        ("tags", ["O", ""], r"tag 2 in column c is empty. Give each word one"),
        ("words", ["a", 1], r"words in column c are no list of strings but a list with an integer"),
        ("words", "['a']", r"words in column c are no list of strings but .* no JSON. .* blanks"),
        ("words", 5, r"words in column c are no list of strings but an integer \(5\)"),
        ("number", "five", r"column c is text \(five\), not a number. Write a finite number"),
        ("number", "1_000", r"column c is text \(1_000\), not a number"),
        ("number", "nan", r"column c is text \(nan\), not a number"),
        ("number", math.inf, r"column c is a number with a fraction \(inf\), not a number"),
        ("number", True, r"column c is true or false \(True\), not a number"),
        ("number", 10**400, r"column c is an integer \(1000.*\), not a number"),
        ("number", [1], r"column c is a list \(\[1\]\), not a number"),
        ("json", "hello", r"column c is no JSON: Expecting value"),
        ("json", "5", r"column c is an integer \(5\), not a list or an object. Write one, or"),
        ("json", {"a": math.nan}, r"column c is no JSON: Out of range"),
        ("json", [b"a"], r"column c is no JSON: Object of type bytes"),
        ("image", 5, r"an image is the address of a file or its bytes, found an integer \(5\) in"),
        ("image", {"url": "a"}, r"an image is the address of a file or its bytes, found an object"),
        (
            "image",
            "a.png",
            r"of the image in column c \(a.png\) is relative, and no file's",
        ),
        ("key", [1], r"column c is a list \(\[1\]\), and rows are split by it. Write one text"),
    ],
)
def test_other_values_are_refused_in_a_sentence(kind: str, value: object, problem: str) -> None:
    with pytest.raises(DataError, match=f"^a.json line 3: .*{problem}") as raised:
        text(kind, value)
    assert "\n" not in str(raised.value)


def test_class_numbers_become_names_also_in_lists() -> None:
    names = {"names": ("O", "B-PER")}
    assert text("label", 1, **names) == "B-PER"
    assert text("label", -1, **names) is None
    assert text("labels", [1, 0, -1], **names) == '["B-PER","O"]'
    assert text("tags", [1, 0, 0], **names) == '["B-PER","O","O"]'
    with pytest.raises(DataError, match=r"column c has class 2 where dataset_info.json names 2"):
        text("tags", [0, 2], **names)
    with pytest.raises(DataError, match=r"tag 2 in column c is empty"):
        text("tags", [0, -1], **names)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_float(number: float) -> None:
    written = text("number", number)
    assert written is not None
    assert float(written) == number
    assert math.copysign(1, float(written)) == math.copysign(1, number)
    assert text("number", f"  {number!r} ") == written


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_lists_are_json_without_blanks(words: list[str]) -> None:
    written = text("words", words)
    assert written is not None
    assert json.loads(written) == words
    assert written == json.dumps(words, ensure_ascii=False, separators=(",", ":"))
    assert text("words", written) == written


@given(st.binary(min_size=1))
def test_bytes_of_an_image_come_back(content: bytes) -> None:
    written = text("image", content)
    assert written is not None
    assert base64.b64decode(written.removeprefix("data:;base64,")) == content
    assert text("image", {"bytes": content, "path": None}) == written


def test_classes_and_words_of_a_text() -> None:
    assert class_names("a", "label") == ["a"]
    assert class_names('["a","b"]', "labels") == ["a", "b"]
    assert class_names("[]", "labels") == class_names("", "label") == []
    assert plain_text('["a","b c"]', "words") == "a b c"
    assert plain_text('[{"role":"user","content":"hello"},{"n":5}]', "json") == "user hello"
    assert plain_text("[a]", "text") == "[a]"


def test_what_is_carried_for_nothing() -> None:
    assert empty_text(Column("c", "words", may_be_empty=True)) == "[]"
    assert empty_text(Column("c", "json", may_be_empty=True)) == ""
