"""What goes to which stream, and how."""

import json

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
    import io
    import sys

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Terminal().lines([Line("run", ("a", "b"))])
    stream.flush()
    assert stream.buffer.getvalue() == b"run       a - b\n"
