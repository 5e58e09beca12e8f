"""Cleaning row by row: what is dropped, filled or changed, and which row is named."""

from typing import Any

import pyarrow as pa
import pytest

from configs.cleaning_sections import Cleaning
from configs.errors import DataError
from configs.task_columns import Column, Columns
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
