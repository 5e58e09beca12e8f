"""Turn what steps count into speeds between two step records."""

import time
from dataclasses import dataclass, field

from trainers.step import Counts


@dataclass(frozen=True)
class Speed:
    """Means since the last record, summed over all ranks where that makes sense."""

    rows_per_s: float
    tokens_per_s: float | None
    """None where rows have no tokens."""
    data_wait: float
    """Share of the time that rank 0 waited for data."""
    padding: float
    """Share of fed tokens that were padding."""
    seconds: float
    """Seconds per step."""
    cpu_share: float
    """Cores that the process of rank 0 had on average."""


@dataclass
class Throughput:
    """Counts since the last record."""

    has_tokens: bool = True
    """Whether rows have tokens; an image counts as one, which says nothing."""
    steps: int = 0
    rows: int = 0
    tokens: int = 0
    fed_tokens: int = 0
    waited_before: float = 0.0
    started: float = field(default_factory=time.monotonic)
    computed_before: float = field(default_factory=time.process_time)

    def add(self, counts: Counts) -> None:
        """Count one step."""
        self.steps += 1
        self.rows += counts.rows
        self.tokens += counts.tokens
        self.fed_tokens += counts.fed_tokens

    def take(self, seconds_waited: float) -> Speed:
        """Give the means since the last call; `seconds_waited` is the stream's total so far."""
        now, computed = time.monotonic(), time.process_time()
        seconds = max(now - self.started, 1e-9)
        speed = Speed(
            rows_per_s=self.rows / seconds,
            tokens_per_s=self.tokens / seconds if self.has_tokens else None,
            data_wait=min(1.0, (seconds_waited - self.waited_before) / seconds),
            padding=1.0 - self.tokens / max(1, self.fed_tokens),
            seconds=seconds / max(1, self.steps),
            cpu_share=(computed - self.computed_before) / seconds,
        )
        self.steps = self.rows = self.tokens = self.fed_tokens = 0
        self.waited_before, self.started = seconds_waited, now
        self.computed_before = computed
        return speed
