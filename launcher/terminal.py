"""Print: data on standard output, everything else on standard error; what is said stands elsewhere.

Colour and width follow the terminal; NO_COLOR, a pipe or a dumb terminal get plain text.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from launcher.messages import DOT, Line

STYLES = {
    "plain": "",
    "good": "green",
    "bad": "bold red",
    "warning": "yellow",
    "quiet": "dim",
}
PIPE_WIDTH = 100_000


class Terminal:
    """The two streams of a command, with the format that was asked for."""

    def __init__(self, *, as_json: bool = False, width: int | None = None) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False, width=width)
        self.err = _console(stderr=True, width=width)

    @property
    def is_live(self) -> bool:
        """Whether standard output is a terminal that can redraw lines."""
        return self.out.is_terminal and not self.out.is_dumb_terminal and not self.as_json

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines as data."""
        for line in lines:
            self._line(self.out, line)

    def say(self, *lines: Line) -> None:
        """Print lines that are not data."""
        for line in lines:
            self._line(self.err, line)

    def text(self, text: str) -> None:
        """Print text as data, as it is."""
        self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    def json(self, value: dict[str, Any]) -> None:
        """Print one JSON object with its version as one line of data."""
        versioned = value if "v" in value else {"v": 1, **value}
        self.text(json.dumps(versioned, ensure_ascii=False, default=str, separators=(",", ":")))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print aligned columns as data; those of numbers are aligned to the right."""
        body = [list(row) for row in rows]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for index, name in enumerate(header):
            numeric = bool(body) and all(row[index][:1].isdigit() for row in body if row[index])
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in body:
            table.add_row(*(self._plain(self.out, cell) for cell in row))
        self.out.print(table, markup=False, highlight=False)

    def _line(self, console: Console, line: Line) -> None:
        console.print(self.rendered(line, console), soft_wrap=True)

    def rendered(self, line: Line, console: Console | None = None) -> Text:
        """Give a line in the console's width and colours."""
        console = console or self.out
        width = console.width if console.is_terminal else None
        rows = line.rows(width)
        text = Text(self._plain(console, "\n".join(rows)), style=STYLES[line.tone])
        if line.label and line.tone == "plain":
            text.stylize("bold", 0, len(line.label))
        return text

    @staticmethod
    def _plain(console: Console, text: str) -> str:
        """Put ASCII for the dot where the stream cannot carry it."""
        return text if console.encoding.startswith("utf") else text.replace(DOT, " - ")


def _console(*, stderr: bool, width: int | None) -> Console:
    console = Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
    if width is None and not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
