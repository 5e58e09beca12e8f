"""Say when an attempt should pause: its machines leave, or there is room for more of them.

Who then asks its workers for a commit and starts the next attempt is finetuning.py.
"""

import time
from collections.abc import Callable, Sequence

from cluster import machines
from configs.schema import Recipe

LOOK_S = 2.0
LOOKS = 2
"""Looks in a row that must find more room: what frees itself for a moment is not ours."""


class Pauses:
    """Looks after the machines of one attempt."""

    def __init__(self, recipe: Recipe, num_workers: int) -> None:
        self.reason: str | None = None
        """Why the attempt should pause, once it should."""
        self._recipe = recipe
        self._num_workers = num_workers
        self._next_look = time.monotonic() + LOOK_S
        self._found_room = 0

    def look(self, hosts: Callable[[], Sequence[str]]) -> bool:
        """Look at the cluster every LOOK_S; says once that the attempt should pause.

        `hosts` gives those of the ranks that are known so far.
        """
        now = time.monotonic()
        if self.reason is not None or now < self._next_look:
            return False
        self._next_look = now + LOOK_S
        known = hosts()
        # Before all workers are there, the room that is theirs looks free.
        is_at_work = len(known) == self._num_workers
        self.reason = self._leaving(known) or (self._growing() if is_at_work else None)
        return self.reason is not None

    def _leaving(self, hosts: Sequence[str]) -> str | None:
        leaving = sorted(machines.leaving_hosts().intersection(hosts))
        return f"{' and '.join(leaving)} will leave the cluster" if leaving else None

    def _growing(self) -> str | None:
        asked = self._recipe.cluster
        # Where workers must be together or apart, room beside them says too little.
        if asked.placement.startswith("STRICT") or self._num_workers >= asked.most_workers:
            return None
        room = machines.find_room(asked, self._recipe.batch.lanes, held=self._num_workers)
        self._found_room = self._found_room + 1 if room > self._num_workers else 0
        if self._found_room < LOOKS:
            return None
        return f"there is room for {room} workers instead of {self._num_workers}"
