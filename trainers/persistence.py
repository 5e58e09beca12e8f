"""Try again what the storage did not take, with growing pauses, until a deadline."""

import errno
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from configs.errors import StorageError

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
FULL = (errno.ENOSPC, errno.EDQUOT)

Answer = TypeVar("Answer")


def persist(
    action: Callable[[], Answer],
    deadline_s: float,
    *,
    over: Event | None = None,
    on_failure: Callable[[StorageError], None] = lambda error: None,
) -> Answer:
    """Call `action` until it raises no StorageError.

    `on_failure` hears of each failure that is followed by another try; `over`, once set, ends the
    pauses and the tries. Raises the last StorageError after `deadline_s`; 0 tries once.
    """
    ended = over or Event()

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        assert isinstance(error, StorageError)
        on_failure(error)

    retrying = Retrying(
        retry=retry_if_exception_type(StorageError),
        stop=stop_after_delay(deadline_s) | stop_when_event_set(ended),
        wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        sleep=sleep_using_event(ended),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(action)


def is_full(error: StorageError) -> bool:
    """Say whether a storage refused a write because there is no room on it."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in FULL
