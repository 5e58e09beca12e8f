"""Keep the values of secrets out of everything that is written; who knows them is the caller.

Run as a script it is a filter: from standard input to standard output, with stars for the values of
the variables that its arguments name. A filter outlives the process whose output it reads, so what
a killed process said last is there. Only the standard library is imported.
"""

import base64
import json
import os
import signal
import sys
from collections.abc import Iterable
from urllib.parse import quote

SHORTEST = 8
"""Characters of the shortest value that can be told from other text."""
STARS = "***"
HELD_BYTES = 2**16

_forms: tuple[str, ...] = ()


def hide(values: Iterable[str]) -> None:
    """Have `masked` replace these values too, in all forms in which they may be written."""
    global _forms
    forms = {*_forms, *(form for value in values for form in forms_of(value))}
    _forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))


def masked(text: str) -> str:
    """Give text with stars for every value that was hidden before."""
    for form in _forms:
        text = text.replace(form, STARS)
    return text


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
    """Give the ways in which a value may be written: as it is, quoted, in base64, line by line."""
    whole = [value, value.strip(), *(line.strip() for line in value.splitlines())]
    texts = {text for text in whole if len(text) >= SHORTEST}
    forms = set(texts)
    for text in texts:
        forms |= {json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe="")}
        forms |= _in_base64(text.encode())
    return {form for form in forms if len(form) >= SHORTEST}


def _in_base64(data: bytes) -> set[str]:
    """Encode data as a part of something longer, at each of three offsets, without its edges."""
    found = set()
    for offset, edge in ((0, 0), (1, 2), (2, 3)):
        padded = b"\0" * offset + data
        found.add(base64.b64encode(padded[: len(padded) // 3 * 3]).decode()[edge:])
    return found


def main() -> None:
    """Copy standard input to standard output by lines, until whoever writes has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    hide(os.environ.get(name, "") for name in sys.argv[1:])
    longest = max((len(form.encode()) for form in _forms), default=1)
    held = b""
    while chunk := os.read(0, HELD_BYTES):
        held += chunk
        end = held.rfind(b"\n") + 1
        if len(held) - end > HELD_BYTES:
            held = _masked(held)  # a line without an end: what may begin a value waits
            end = len(held) - longest
        _write(_masked(held[:end]))
        held = held[end:]
    _write(_masked(held))


def _masked(data: bytes) -> bytes:
    return masked(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    main()
