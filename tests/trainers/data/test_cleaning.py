"""Cleaning row by row: what is dropped, filled or changed, and which row is named."""

import json
from typing import Any

import pyarrow as pa
import pytest

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from configs.task_columns import Column, Columns
from trainers.data.cells import json_text
from trainers.data.cleaning import Cleaner
from trainers.data.report import Counts, Tally

COLUMNS = Columns((Column("text", "text"),), Column("label", "label"))
Rows = list[dict[str, Any]]


def clean(
    block: dict[str, list[str | None]], labels: tuple[str, ...] | None = None, **rules: Any
) -> tuple[Rows, Tally]:
    counts = Counts()
    cleaner = Cleaner(Cleaning(**rules), COLUMNS, labels, "f.csv", counts)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in block.items()})
    kept, stayed = cleaner.clean(table, 11)
    assert len(kept) == stayed.sum()
    return kept.to_pylist(), counts.tally()


MISSING = {"text": ["a", None, " \t", "d"], "label": ["x", None, "y", ""]}


def test_missing_values_are_dropped_with_reason_and_row() -> None:
    kept, tally = clean(MISSING)
    assert kept == [{"text": "a", "label": "x"}]
    assert tally.dropped == {"missing text": 2, "missing label": 1}
    assert tally.examples == {
        "missing text": ("f.csv row 12", "f.csv row 13"),
        "missing label": ("f.csv row 14",),
    }


def test_missing_values_are_filled_where_there_is_a_value() -> None:
    kept, tally = clean(MISSING, missing="fill", fill_text="nothing")
    assert [row["text"] for row in kept] == ["a", "nothing"]
    assert tally.changed == {"missing text filled": 2}
    assert tally.dropped == {"missing label": 2}
    kept, tally = clean(MISSING, missing="fill", fill_text="-", fill_label="none")
    assert [row["label"] for row in kept] == ["x", "none", "y", "none"]
    assert tally.dropped == {}


def test_missing_values_can_be_refused() -> None:
    with pytest.raises(DataError, match=r"f.csv row 12: column text is empty. Fill it, or set"):
        clean(MISSING, missing="fail")


def test_lengths_are_in_characters() -> None:
    block = {"text": ["\u00e9\u00e9", "abc", "a" * 9], "label": ["x"] * 3}
    kept, tally = clean(block, min_characters=3, max_characters=8)
    assert [row["text"] for row in kept] == ["abc"]
    assert tally.dropped == {"too short text": 1, "too long text": 1}
    assert tally.examples["too short text"] == ("f.csv row 11: \u00e9\u00e9",)


def test_control_characters_go_but_tabs_and_line_breaks_stay() -> None:
    block = {"text": ["a\x00b\x1b\x7f\x85c", "a\tb\r\nc", "\x01"], "label": ["x"] * 3}
    kept, tally = clean(block)
    assert [row["text"] for row in kept] == ["abc", "a\tb\r\nc"]
    assert tally.changed == {"control characters in text removed": 2}
    # Nothing is left of the third text.
    assert tally.dropped == {"missing text": 1}
    kept, tally = clean(block, control_characters="keep")
    assert [row["text"] for row in kept] == block["text"]
    assert tally.changed == {}


def test_one_way_to_write_an_accented_letter() -> None:
    block: dict[str, list[str | None]] = {"text": ["e\u0301", "\u00e9"], "label": ["x"] * 2}
    kept, tally = clean(block, unicode="nfc")
    assert [row["text"] for row in kept] == ["\u00e9"] * 2
    assert tally.changed == {"text written in NFC": 1}
    assert [row["text"] for row in clean(block)[0]] == block["text"]


def test_labels_that_are_not_asked_for() -> None:
    block: dict[str, list[str | None]] = {"text": ["a", "b", "c"], "label": ["x", "z", "y"]}
    with pytest.raises(DataError, match=r"f.csv row 12: label 'z' in column label is not in task"):
        clean(block, ("x", "y"))
    kept, tally = clean(block, ("x", "y"), unknown_labels="drop")
    assert [row["label"] for row in kept] == ["x", "y"]
    assert tally.dropped == {"unknown label": 1}
    assert tally.examples["unknown label"] == ("f.csv row 12: z",)


def test_a_row_is_counted_for_its_first_reason_only() -> None:
    block: dict[str, list[str | None]] = {"text": ["", "ab"], "label": ["z", "z"]}
    _, tally = clean(block, ("x", "y"), unknown_labels="drop", min_characters=3)
    assert tally.dropped == {"missing text": 1, "too short text": 1}


def clean_kinds(
    columns: Columns, block: dict[str, list[str | None]], **rules: Any
) -> tuple[Rows, Tally]:
    counts = Counts()
    labels = rules.pop("labels", None)
    cleaner = Cleaner(Cleaning(**rules), columns, labels, "f.csv", counts)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in block.items()})
    return cleaner.clean(table, 1)[0].to_pylist(), counts.tally()


def test_what_is_nothing_depends_on_the_kind() -> None:
    columns = Columns((Column("a", "words"), Column("b", "json")), Column("c", "labels"))
    block: dict[str, list[str | None]] = {
        "a": ['["x"]', "[]", '["x"]', '["x"]', '["x"]'],
        "b": ['{"a":1}', '{"a":1}', "{}", "[1]", "[1]"],
        "c": ["[]", "[]", "[]", None, ""],
    }
    kept, tally = clean_kinds(columns, block)
    assert kept == [{"a": '["x"]', "b": '{"a":1}', "c": "[]"}]
    assert tally.dropped == {"missing a": 1, "missing b": 1, "missing c": 2}
    kept, tally = clean_kinds(columns, block, missing="fill", fill_label="none")
    assert [row["c"] for row in kept] == ["[]", '["none"]', '["none"]']
    assert tally.dropped == {"missing a": 1, "missing b": 1}
    assert tally.changed == {"missing c filled": 2}


def test_cells_that_may_be_empty_stay() -> None:
    columns = Columns(
        (Column("a", "text", may_be_empty=True), Column("b", "words", may_be_empty=True)), None
    )
    block: dict[str, list[str | None]] = {"a": [None, " ", "ab"], "b": ['["x"]', None, ""]}
    kept, tally = clean_kinds(columns, block, missing="fail", min_characters=2)
    assert kept == [
        {"a": "", "b": '["x"]'},
        {"a": "", "b": "[]"},
        {"a": "ab", "b": "[]"},
    ]
    assert tally == Tally()


def test_only_what_people_write_is_normalised() -> None:
    columns = Columns((Column("a", "words"), Column("b", "text")), Column("c", "label"))
    words = json_text(["a\x00b\x01\x02", "\\u0001", "\x08\x0c\t", "e\u0301\x7f"])
    block: dict[str, list[str | None]] = {"a": [words], "b": ["b\x00"], "c": ["c\x00e\u0301"]}
    kept, _ = clean_kinds(columns, block, unicode="nfc")
    assert json.loads(kept[0]["a"]) == ["ab", "\\u0001", "\t", "\u00e9"]
    assert (kept[0]["b"], kept[0]["c"]) == ("b", "c\x00e\u0301")


def test_texts_that_are_to_be_written_are_cleaned_like_those_that_are_read() -> None:
    columns = Columns((Column("a", "text"),), Column("b", "text"))
    block: dict[str, list[str | None]] = {"a": ["abc", "abc", "abc"], "b": ["d\x00ef", "", "d"]}
    kept, tally = clean_kinds(columns, block, min_characters=2)
    assert kept == [{"a": "abc", "b": "def"}]
    assert tally.dropped == {"missing b": 1, "too short b": 1}
    kept, _ = clean_kinds(columns, block, missing="fill", fill_text="-")
    assert [row["b"] for row in kept] == ["def", "-", "d"]


def test_unknown_labels_in_lists() -> None:
    columns = Columns((Column("a", "text"),), Column("c", "labels"))
    block: dict[str, list[str | None]] = {"a": ["x", "y", "z"], "c": ['["p","q"]', "[]", '["r"]']}
    with pytest.raises(DataError, match=r"f.csv row 3: label 'r' in column c is not in task"):
        clean_kinds(columns, block, labels=("p", "q"))
    kept, tally = clean_kinds(columns, block, labels=("p", "q"), unknown_labels="drop")
    assert [row["a"] for row in kept] == ["x", "y"]
    assert tally.examples == {"unknown label": ('f.csv row 3: ["r"]',)}
