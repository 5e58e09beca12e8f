"""Print: data on standard output, everything else on standard error; what is said stands elsewhere.

Whatever is printed goes through here, so text from outside is made harmless here.

Colour and width follow the terminal; NO_COLOR, a pipe or a dumb terminal get plain text.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from configs.outside_text import one_line, visible, visible_json
from launcher.messages import DOT, Line

STYLES = {
    "plain": "",
    "good": "green",
    "bad": "bold red",
    "warning": "yellow",
    "quiet": "dim",
}
PIPE_WIDTH = 100_000
GAP = 2
NUMBER = re.compile(r"[-+]?\d|nan$|inf$|-inf$")


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
        """Print text as data, as it is but for signs that a terminal would obey."""
        self._print(visible(text.replace("\r\n", "\n").replace("\r", "\n")))

    def _print(self, text: str) -> None:
        self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    def json(self, value: dict[str, Any]) -> None:
        """Print one JSON object with its version as one line of data."""
        versioned = value if "v" in value else {"v": 1, **value}
        text = json.dumps(versioned, ensure_ascii=False, default=str, separators=(",", ":"))
        self._print(visible_json(text))

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        drop: Sequence[str] = (),
    ) -> None:
        """Print aligned columns as data; those of numbers are aligned to the right and whole.

        Where the terminal is too narrow, the columns of `drop` are left out, the first of them
        first, which is said; then the columns of words are broken.
        """
        names = [one_line(name) for name in header]
        body = [[self._plain(self.out, one_line(cell)) for cell in row] for row in rows]
        columns = [_Column(name, [row[at] for row in body]) for at, name in enumerate(names)]
        shown, left_out = _fitting(columns, self.out.width, drop)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for column in shown:
            table.add_column(
                Text(column.name),
                justify="right" if column.is_numeric else "left",
                overflow="fold",
                no_wrap=column.is_numeric,
                min_width=column.width if column.is_numeric else None,
            )
        for at in range(len(body)):
            table.add_row(*(Text(column.cells[at]) for column in shown))
        self.out.print(table, markup=False, highlight=False)
        if left_out:
            wider = "a wider terminal or -o json shows them"
            self.say(Line("left out", (", ".join(left_out), wider), "quiet"))

    def _line(self, console: Console, line: Line) -> None:
        console.print(self.rendered(line, console), soft_wrap=True)

    def rendered(self, line: Line, console: Console | None = None) -> Text:
        """Give a line in the console's width and colours."""
        console = console or self.out
        width = console.width if console.is_terminal else None
        clean = replace(
            line, label=one_line(line.label), parts=tuple(visible(part) for part in line.parts)
        )
        rows = clean.rows(width)
        text = Text(self._plain(console, "\n".join(rows)), style=STYLES[line.tone])
        if line.label and line.tone == "plain":
            text.stylize("bold", 0, len(line.label))
        return text

    @staticmethod
    def _plain(console: Console, text: str) -> str:
        """Put ASCII for the dot where the stream cannot carry it."""
        return text if console.encoding.startswith("utf") else text.replace(DOT, " - ")


@dataclass(frozen=True)
class _Column:
    """A column of a table as text."""

    name: str
    cells: list[str]

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.name, *self.cells))

    @property
    def is_numeric(self) -> bool:
        filled = [cell for cell in self.cells if cell]
        return bool(filled) and all(NUMBER.match(cell) for cell in filled)


def _fitting(
    columns: list[_Column], width: int, drop: Sequence[str]
) -> tuple[list[_Column], list[str]]:
    """Return the columns that fit a width, and the names of those that are left out."""
    shown, left_out = list(columns), []
    for name in drop:
        if sum(column.width for column in shown) + GAP * (len(shown) - 1) <= width:
            break
        left_out += [column.name for column in shown if column.name == name]
        shown = [column for column in shown if column.name != name]
    return shown, left_out


def _console(*, stderr: bool, width: int | None) -> Console:
    console = Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
    if width is None and not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
