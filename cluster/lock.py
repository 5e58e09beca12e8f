"""Let one driver at a time work on a run, and show that it is alive; runs.py says what a run is."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import LockedError, StorageError
from trainers import storage as files

BEAT_S = 5.0
BEAT_LIMIT_S = 15.0
POLL_S = 0.3


def list_claims(folder: str) -> list[str]:
    """List who worked on a run directory so far, by number."""
    return files.list_names(files.join(folder, "lock"))


def claim(folder: str, number: int, job_id: str) -> None:
    """Become the one driver of a run: who creates the next numbered file in `lock` has it."""
    content = json.dumps({"job_id": job_id, "time": time.time()}).encode()
    if not files.create_exclusively(files.join(folder, "lock", f"{number:04d}"), content):
        raise LockedError(f"Somebody else has just taken {folder}. See `thaw status`")


def beat(folder: str) -> None:
    """Show that the driver is alive; called every BEAT_S."""
    content = json.dumps({"time": time.time()}).encode()
    files.write_atomically(files.join(folder, "beat.json"), content)


def beats(folder: str, limit_s: float = BEAT_LIMIT_S) -> bool:
    """Watch whether the driver still shows that it is alive; takes up to `limit_s`.

    Two reads are compared, not a time with our clock: machines disagree about the time.
    """
    address = files.join(folder, "beat.json")
    before = files.read_bytes(address) if files.exists(address) else b""
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        if files.exists(address) and files.read_bytes(address) != before:
            return True
        time.sleep(POLL_S)
    return False


@contextmanager
def beating(folder: str, every_s: float = BEAT_S) -> Iterator[None]:
    """Show every few seconds, from a thread, that the driver is alive."""
    over = threading.Event()

    def keep_beating() -> None:
        while not over.is_set():
            try:
                beat(folder)
            except StorageError:
                logging.getLogger(__name__).warning("no beat could be written in %s", folder)
            over.wait(every_s)

    thread = threading.Thread(target=keep_beating, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
