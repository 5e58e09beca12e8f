"""Records as lines of JSON."""

import pytest
from pydantic import ValidationError

from configs.records import Note, read_lines, read_record, split_lines


def test_a_line_reads_back_as_the_record_it_was():
    note = Note(time=1.5, level="info", text="Hello")
    assert read_record(note.model_dump_json()) == note
    assert read_record(note.model_dump_json().encode()) == note


def test_what_a_newer_version_adds_is_passed_over():
    line = '{"v": 1, "kind": "note", "time": 1, "level": "info", "text": "x", "new": 1}'
    assert read_record(line) == Note(time=1, level="info", text="x")


@pytest.mark.parametrize(
    "line", ["", "x", "{}", '{"v": 1, "kind": "new"}', '{"v": 2, "kind": "note"}']
)
def test_anything_else_is_refused(line):
    with pytest.raises(ValidationError):
        read_record(line)


def test_lines_are_split_at_line_feeds_alone():
    signs = "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e \r"  # str.splitlines splits at each
    notes = [Note(time=n, level="info", text=f"{signs} {n}") for n in range(3)]
    text = "".join(f"{note.model_dump_json()}\n" for note in notes)
    assert len(split_lines(text)) == 3
    assert read_lines(split_lines(text)) == (notes, 0)
    assert split_lines("a\nb") == ["a", "b"]
    assert split_lines("") == []


def test_damaged_lines_are_passed_over_and_counted():
    line = Note(time=1, level="info", text="x").model_dump_json()
    lines = [line, line[:-3], "", "\0\0", line]
    assert read_lines(lines) == ([read_record(line)] * 2, 2)
