"""Make text from outside harmless where it is shown: no sign of it moves a cursor or turns a line.

Labels, paths, words of other processes and so on may hold anything. What would be obeyed in place
of being seen is written as its escape.
"""

import html
import re

COLOUR = re.compile("\x1b\\[[0-9;]*m")
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control signs but tab and line feed, signs that turn the direction, and signs without a width."""
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")


def visible(text: str) -> str:
    """Return text whose control signs are seen, not obeyed; colours go, lines and tabs stay."""
    text = COLOUR.sub("", text.replace("\r\n", "\n"))
    return UNSEEN.sub(_escape, text)


def one_line(text: str) -> str:
    """Return text that stays within a line or a cell, whatever is in it."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, most: int) -> str:
    """Return text of at most so many letters, with a sign where it was cut."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def visible_json(text: str) -> str:
    """Return the same JSON value as text without control signs."""
    return UNSEEN.sub(_json_escape, text)


def markdown(text: str) -> str:
    """Return Markdown that shows a text as it is, within a line: no link, no HTML, no new cell."""
    return html.escape(MARKDOWN.sub(r"\\\1", one_line(text)), quote=False)


def code_span(text: str) -> str:
    """Return Markdown that shows a text as code, within a line."""
    shown = one_line(text)
    runs = [len(run) for run in re.findall("`+", shown)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if "`" in shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
