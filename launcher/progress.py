"""Where a run stands, folded from its records; how that looks stands in messages and live."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from configs.records import (
    Attempt,
    Committed,
    DataReady,
    Ended,
    Evaluated,
    Exported,
    Ledger,
    Phase,
    Preparing,
    Record,
    Step,
)

if TYPE_CHECKING:
    from cluster.runs import RunState

RATE_WINDOW = 5


@dataclass
class Progress:
    """The latest of every kind of record, with what has to be added up over them."""

    name: str
    started: float | None = None
    """When was begun to work, for the first time or again."""
    worked_s: float = 0.0
    """Seconds that was worked until the last end; none while the run stood still."""
    preparing: Preparing | None = None
    data: DataReady | None = None
    attempt: Attempt | None = None
    phase: Phase | None = None
    step: Step | None = None
    evaluations: dict[str, Evaluated] = field(default_factory=dict)
    committed: Committed | None = None
    exported: Exported | None = None
    ended: Ended | None = None
    ledgers: dict[int, Ledger] = field(default_factory=dict)
    seconds_per_step: list[float] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take one more record in."""
        if self.started is None or self.ended is not None:
            self.started, self.ended = record.time, None  # the first word, or the run goes on
        if isinstance(record, Preparing):
            self.preparing = record
        elif isinstance(record, DataReady):
            self.data = record
        elif isinstance(record, Attempt):
            self.attempt, self.exported = record, None
            self.seconds_per_step.clear()
        elif isinstance(record, Phase):
            self.phase = record
        elif isinstance(record, Step):
            self.step = record
            self.seconds_per_step = [*self.seconds_per_step, record.seconds][-RATE_WINDOW:]
        elif isinstance(record, Evaluated):
            self.evaluations[record.split] = record
        elif isinstance(record, Committed):
            self.committed = record
        elif isinstance(record, Exported):
            self.exported = record
        elif isinstance(record, Ledger):
            if record.split == "train":
                self.ledgers[record.epoch] = record
        elif isinstance(record, Ended):
            told, since = record.worked_s, record.time - self.started
            self.worked_s = told if told is not None else self.worked_s + since
            self.ended = record

    @property
    def remaining_s(self) -> float | None:
        """Seconds that the remaining optimizer steps take at the present pace."""
        if self.step is None or not self.seconds_per_step:
            return None
        mean = sum(self.seconds_per_step) / len(self.seconds_per_step)
        return mean * max(0, self.step.total_steps - self.step.step)

    @property
    def all_learn(self) -> bool:
        """Whether no parameter is frozen in the present phase."""
        return self.phase is not None and (
            self.phase.trainable_parameters == self.phase.total_parameters
        )


def progress_of(name: str, records: Iterable[Record]) -> Progress:
    """Fold all records of a run."""
    progress = Progress(name)
    for record in records:
        progress.add(record)
    return progress


def standing(state: "RunState", progress: Progress, *, live: bool) -> dict[str, Any]:
    """Return how a run stands, for programs: what a person reads of it, in numbers."""
    step = progress.step if live else None
    return {
        **state.model_dump(mode="json"),
        "worked_s": state.total_s(time.time()),
        "step": step.step if step is not None else state.step,
        "total_steps": step.total_steps if step is not None else None,
        "epoch": step.epoch if step is not None else None,
        "loss": step.loss if step is not None else None,
        "rows_per_s": step.rows_per_s if step is not None else None,
        "tokens_per_s": step.tokens_per_s if step is not None else None,
        "remaining_s": progress.remaining_s if step is not None else None,
        "step_time": step.time if step is not None else None,
    }
