"""Keep the values of secrets out of everything that is written; who knows them is the caller.

Run as a script it is a filter: from standard input to standard output, with stars for the values of
the variables that its arguments name. A filter outlives the process whose output it reads, so what
a killed process said last is there. Only the standard library is imported.
"""

import base64
import html
import json
import os
import re
import select
import signal
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Characters of the shortest value that can be told from other text."""
STARS = "***"
HELD_BYTES = 2**16
PATIENCE_S = 2.0
"""How long the filter keeps a line back whose last few characters may begin a value."""
FEW = 3
BREAK = r"""(?:['"]?[ \t]*(?:\\?\r?\n|(?:\\r)?\\n)[ \t]*['"]?)"""
"""Where a line ends within a value: wrapped, continued, escaped, or as two quoted parts."""
GAPS = re.compile(rf"{BREAK}|[\s'\"\\]+")


class _Form(NamedTuple):
    """One way in which a value may be written."""

    text: str
    key: str
    """The text in lower case without white space, quotes and backslashes."""


_forms: tuple[_Form, ...] = ()


def hide(values: Iterable[str]) -> None:
    """Have `masked` replace these values too, in all forms in which they may be written."""
    global _forms
    texts = {form.text for form in _forms}
    texts |= {form for value in values for form in forms_of(value)}
    ordered = sorted(texts, key=lambda form: (-len(form), form))
    _forms = tuple(_Form(text, _squeezed(text)) for text in ordered)


def is_active() -> bool:
    """Whether there is anything to hide in this process."""
    return bool(_forms)


def masked(text: str) -> str:
    """Return text with stars for every value that was hidden before."""
    if not _forms:
        return text
    for form in _forms:
        text = text.replace(form.text, STARS)
    # Cases and line breaks: looked for where the letters are there at all, which is rare.
    squeezed = _squeezed(text)
    for form in _forms:
        if form.key in squeezed:
            text = _pattern(form.text).sub(STARS, text)
    return text


def masked_bytes(data: bytes) -> bytes:
    """Return bytes with stars for every hidden value in them; the same ones where there is none."""
    if not _forms:
        return data
    text = data.decode("utf-8", "surrogateescape")
    return masked(text).encode("utf-8", "surrogateescape")


def told_apart(names: Sequence[str]) -> dict[str, str]:
    """Return each name as it may be written.

    Raises ValueError, with the name as it is written, where two names are the same without secrets.
    """
    written: dict[str, str] = {}
    for name in names:
        one = masked(name)
        if one in written.values() and name not in written:
            raise ValueError(one)
        written[name] = one
    return written


def masked_error(error: Exception) -> Exception:
    """Give an error whose message holds no hidden value: the same one where it never did."""
    said = str(error)
    if masked(said) == said:
        return error
    kind: type[Exception] = type(error)
    if kind.__module__ == "configs.errors":
        return kind(masked(said))
    return RuntimeError(masked(f"{kind.__name__}: {said}"))


def forms_of(value: str) -> set[str]:
    """Return how a value may be written: as it is, quoted, in base64 or hex, line by line.

    Upper and lower case and line breaks in it are `masked`'s.
    """
    whole = [value, value.strip(), *(line.strip() for line in value.splitlines())]
    texts = {text for text in whole if len(text) >= SHORTEST}
    forms = set(texts)
    for text in texts:
        data = text.encode(errors="surrogateescape")
        forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        forms |= {repr(text)[1:-1], repr(data)[2:-1], html.escape(text)}
        forms |= {text.replace("|", "\\|"), text.replace('"', '""'), text.replace("/", "\\/")}
        forms |= {quote(data, safe=""), quote(data), quote_plus(data)}
        forms |= {data.hex(), data.hex(" "), data.hex(":")}
        forms |= {"".join(f"{mark}{byte:02x}" for byte in data) for mark in ("%", "\\x")}
        for cased in {text, text.lower(), text.upper()}:
            forms |= _in_base64(cased.encode(errors="surrogateescape"))
    return {form for form in forms if len(form) >= SHORTEST}


def _squeezed(text: str) -> str:
    """Return text in lower case without what may stand at a line's end."""
    return GAPS.sub("", text).lower()


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """Compile what finds a form in any case, with line breaks anywhere in it."""
    return re.compile(f"{BREAK}?".join(map(_letter, form)), re.IGNORECASE)


def _letter(letter: str) -> str:
    """Match a letter of a value, quoted once more or not."""
    if letter == "\\":
        return r"\\+"
    quoted = r"\\*" if letter in "\"'/|" else ""
    return r"\s*" if letter.isspace() else quoted + re.escape(letter)


def _in_base64(data: bytes) -> set[str]:
    """Encode data as a part of something longer, at each of three offsets, without its edges."""
    found = set()
    for offset, edge in ((0, 0), (1, 2), (2, 3)):
        padded = b"\0" * offset + data
        found.add(base64.b64encode(padded[: len(padded) // 3 * 3]).decode()[edge:])
        found.add(base64.urlsafe_b64encode(padded[: len(padded) // 3 * 3]).decode()[edge:])
    return found


def main() -> None:
    """Copy standard input to standard output by lines, until whoever writes has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    hide(os.environ.get(name, "") for name in sys.argv[1:])
    held = b""
    while True:
        waiting = held.rfind(b"\n") + 1
        few = waiting and _begun(held[:waiting]) <= FEW
        if few and not select.select([0], [], [], PATIENCE_S)[0]:
            _write(masked_bytes(held[:waiting]))
            held = held[waiting:]
            continue
        if not (chunk := os.read(0, HELD_BYTES)):
            break
        held = _passed_on(held + chunk)
    _write(masked_bytes(held))


def _passed_on(held: bytes) -> bytes:
    """Write what may be written by now; return the rest, in which a value may have begun."""
    longest = 2 * max((len(form.text.encode()) for form in _forms), default=1)
    end = held.rfind(b"\n") + 1
    if len(held) - end > HELD_BYTES:
        held = masked_bytes(held)  # a line without an end: what may begin a value waits
        end = len(held) - longest
    else:
        begun = _begun(held[:end])
        kept = 0
        while kept < begun:
            end = held.rfind(b"\n", 0, max(0, end - 1)) + 1
            kept = len(_squeezed(_text(held[end : held.rfind(b"\n") + 1])))
    _write(masked_bytes(held[:end]))
    return held[end:]


def _begun(data: bytes) -> int:
    """Count the characters at the end of lines with which a value may have begun."""
    longest = 2 * max((len(form.text.encode()) for form in _forms), default=1)
    tail = _squeezed(_text(data[-longest:]))
    counts = (
        count
        for form in _forms
        for count in range(min(len(form.key) - 1, len(tail)), 0, -1)
        if tail.endswith(form.key[:count])
    )
    return max(counts, default=0)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    main()
