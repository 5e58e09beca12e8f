"""Bring records and event files to the run directory from a thread, as often as it takes.

What the storage does not take now is kept and tried again, so that training neither waits for it
nor ends with it. What is written stands in tracking.py.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from configs.errors import StorageError
from trainers import storage

EVERY_S = 10.0
"""Seconds between two looks for new event files."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


class Delivery:
    """Lines for one file and the files of one folder, on their way to the storage."""

    def __init__(
        self, records: str, events: str, is_superseded: Callable[[], bool] = lambda: False
    ) -> None:
        """Deliver lines to the file `records`, and files into the folder `events`.

        Nothing more is delivered once `is_superseded` says that the place belongs to others.
        """
        self._records, self._events = records, events
        self._is_superseded = is_superseded
        self._lines: list[str] = []
        self._folder: Path | None = None
        self._settle: Callable[[], None] = lambda: None
        self._delivered: dict[str, int] = {}
        self._state, self._turn = Lock(), Lock()
        self._wake, self._over, self._looks = Event(), Event(), Event()
        self._thread = Thread(target=self._go_on, name="delivery", daemon=True)
        self._thread.start()

    def add(self, line: str) -> None:
        """Take a line; it gets there behind those before it."""
        with self._state:
            self._lines.append(line)
        self._wake.set()

    def follow(self, folder: Path, settle: Callable[[], None]) -> None:
        """Deliver the growing files of a local folder; `settle` writes down what is buffered."""
        self._folder, self._settle = folder, settle

    def look(self) -> None:
        """Look for what is new in the folder soon."""
        self._looks.set()
        self._wake.set()

    def deliver(self) -> None:
        """Bring everything there now; raises StorageError when the storage does not take it."""
        with self._turn:
            self._deliver_lines()
            self._deliver_files()

    def stop(self, limit_s: float) -> None:
        """End the thread; what is left is brought there by `deliver`."""
        self._over.set()
        self._wake.set()
        self._thread.join(limit_s)

    def _go_on(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._over.is_set():
            is_called = self._wake.wait(EVERY_S)
            self._wake.clear()
            try:
                with self._turn:
                    self._deliver_lines()
                    if self._looks.is_set() or not is_called:
                        self._looks.clear()
                        self._deliver_files()
                pause = FIRST_PAUSE_S
            except StorageError:
                self._over.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                self._wake.set()

    def _deliver_lines(self) -> None:
        with self._state:
            lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            if not self._is_superseded():
                storage.append_lines(self._records, lines)
        except StorageError:
            with self._state:
                self._lines = lines + self._lines
            raise

    def _deliver_files(self) -> None:
        if self._folder is None or self._is_superseded():
            return
        self._settle()
        for file in sorted(self._folder.iterdir()):
            size, done = file.stat().st_size, self._delivered.get(file.name, 0)
            if size == done:
                continue
            address = storage.join(self._events, file.name)
            if storage.local_path(address) is None:
                # What lies there cannot be appended to.
                storage.upload(file, address)
            else:
                with file.open("rb") as stream:
                    stream.seek(done)
                    storage.append(address, stream.read(size - done))
            self._delivered[file.name] = size
