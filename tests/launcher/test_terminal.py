"""What goes to which stream, and how."""

import io
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.outside_text import UNSEEN
from launcher.messages import Line
from launcher.terminal import Terminal


def test_data_goes_to_stdout_and_the_rest_to_stderr(capsys):
    terminal = Terminal()
    terminal.lines([Line("run", ("a", "b"))])
    terminal.say(Line("note", ("c",)))
    out, err = capsys.readouterr()
    assert (out, err) == ("run       a \u00b7 b\n", "note      c\n")


def test_a_pipe_gets_whole_lines_without_colour(capsys):
    Terminal().lines([Line("failed", ("x" * 300, "[bold]y[/]"), "bad")])
    assert capsys.readouterr().out == f"failed    {'x' * 300} \u00b7 [bold]y[/]\n"


def test_json_has_a_version(capsys):
    terminal = Terminal(as_json=True)
    terminal.json({"a": 1})
    terminal.json({"v": 2, "a": 1})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"v": 1, "a": 1}, {"v": 2, "a": 1}]


def test_tables_align_numbers_to_the_right(capsys):
    Terminal().table(("NAME", "STEP"), [("a", "5"), ("long", "1,120")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME   STEP",
        "a         5",
        "long  1,120",
    ]


def test_a_stream_without_the_dot_gets_a_dash(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Terminal().lines([Line("run", ("a", "b"))])
    stream.flush()
    assert stream.buffer.getvalue() == b"run       a - b\n"


HEADER = ("NAME", "STEP", "ROWS", "MACRO F1", "MICRO F1", "MACRO PRECISION", "WEIGHTED F1")
NUMBERS = ("12,345,678", "1,234", "0.4150", "-0.4150", "nan", "1.0000")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_number_is_broken_and_columns_that_do_not_fit_are_named(capsys, width):
    terminal = Terminal(width=width)
    terminal.table(HEADER, [("a long name " * 3, *NUMBERS)], drop=("ROWS", *reversed(HEADER[3:])))
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= width
    gone = [name for name in HEADER if name in err]
    for name, number in zip(HEADER[1:], NUMBERS, strict=True):
        assert (number in out.split()) is (name not in gone), name
    assert bool(gone) is (width < 124) and "STEP" not in gone


def test_what_comes_from_outside_is_seen_and_never_obeyed(capsys):
    nasty = "a\x1b[2Jb\x1b]0;t\x07\u202ec\r\nd[red]e[/]"
    terminal = Terminal()
    terminal.lines([Line("failed\n", (nasty,), "bad")])
    terminal.text(nasty)
    terminal.table(("NA\x1bME", "B"), [(nasty, "1")])
    out = capsys.readouterr().out
    assert not UNSEEN.search(out)
    assert "[red]e[/]" in out and "\\u202e" in out
    assert len(out.splitlines()) == 2 + 2 + 2


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters())))
def test_json_stays_exact_whatever_is_in_it(values):
    kept, sys.stdout = sys.stdout, io.StringIO()
    try:
        Terminal(as_json=True).json({"v": 1, "values": values})
        line = sys.stdout.getvalue()
    finally:
        sys.stdout = kept
    assert json.loads(line) == {"v": 1, "values": values} and not UNSEEN.search(line)
    assert not re.search("[\x80-\x9f]", line)
