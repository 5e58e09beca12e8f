"""Records as lines of JSON."""

import pytest
from pydantic import ValidationError

from configs.records import Note, read_record


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
