"""Know when this rank last made progress; who looks, and what is done about it, is watchdog.py's.

A beat is one look at the clock: it may stand in every inner loop. Any thread may beat, for what
works beside the training has an end; but for those that only watch.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

PATIENCE = 3.0
"""How much longer than usual what calls one long function of a library may be without a beat."""


class _Pulse:
    """The progress of this process."""

    last = 0.0
    patience = 1.0
    watchers: ClassVar[set[int]] = set()


def beat() -> None:
    """Note that this rank has got on, unless its thread only watches."""
    if threading.get_ident() not in _Pulse.watchers:
        _Pulse.last = time.monotonic()


def only_watch() -> None:
    """Let the beats of this thread say nothing: what it reads and writes is no progress."""
    _Pulse.watchers.add(threading.get_ident())


def last_beat() -> float:
    """Give the monotonic time of the latest beat."""
    return _Pulse.last


def patience() -> float:
    """Give by how much longer than usual the present work may be without a beat."""
    return _Pulse.patience


@contextmanager
def unhurried() -> Iterator[None]:
    """Work through one long call of a library that cannot beat, such as loading a model."""
    beat()
    before, _Pulse.patience = _Pulse.patience, PATIENCE
    try:
        yield
    finally:
        _Pulse.patience = before
        beat()
