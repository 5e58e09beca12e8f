"""Tell the attempts of a run one after another: how each ended, what it had done, what was lost.

Records are cut back when a run goes on from a commit; the log of rank 0 keeps what was cut.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.aftermath import Aftermath, read_aftermath
from cluster.logs import read_end
from configs.errors import NotFoundError, StorageError
from configs.records import Attempt, Committed, Ended, Evaluated, Note, Record, Step, read_record
from trainers import storage as files

TAIL_BYTES = 256 * 1024
RETRIED = re.compile(r"attempt (\d+) ended: (.*)\. Trying again from .*", re.DOTALL)
PAUSED = re.compile(r"attempt (\d+) (paused after step \d+: .*)", re.DOTALL)
GAVE_UP = re.compile(
    r"^Gave up after \d+ attempts, cluster\.max_failures is \d+: (.*)\. `thaw resume \S+` goes on "
    r"from (?:the last commit|the commit of step \d+|its start: it has no commit yet)$",
    re.DOTALL,
)
STEP_LINE = re.compile(r"\{\"v\":1,\"kind\":\"step\".*\}$", re.MULTILINE)
BEGINNINGS = ("submitted", "resumed")
OUTCOMES = {"retried": "failed", "paused": "paused"}
"""Event of a driver's note to how the attempt ended."""


class Try(BaseModel):
    """One attempt of a run, looked back at."""

    model_config = ConfigDict(frozen=True)
    attempt: int
    began: float | None
    """Seconds since the epoch; None where it ended before rank 0 could say so."""
    num_workers: int | None
    nodes: tuple[str, ...]
    """Node of each rank."""
    first_step: int
    """Steps done when it began."""
    last_step: int | None
    """The last step that it wrote down; None where nothing tells."""
    ended: str
    """The sentence with which it ended; empty while it goes on, or where nothing tells."""
    outcome: str
    """`failed`, `paused`, `stopped`, `succeeded`, or `` while it goes on."""
    lost_steps: int | None = None
    """Steps that were done and had to be done again."""
    cause: str = ""
    """Name of the cause in the table; empty where it did not fail."""
    title: str = ""
    """The same in a few words."""
    aftermath: Aftermath | None = None
    """What its driver kept of the end."""


@dataclass
class _Draft:
    """An attempt while its records are read."""

    record: Attempt | None = None
    last_step: int | None = None
    fell_back: int | None = None
    ended: str = ""
    outcome: str = ""
    aftermath: Aftermath | None = field(default=None)

    def reach(self, step: int) -> None:
        """Note that so many steps were done, whether or not they were logged one by one."""
        if step:
            self.last_step = max(step, self.last_step or 0)


def attempt_logs(folder: str, attempt: int) -> str:
    """Give the folder of an attempt's logs."""
    return files.join(folder, "logs", f"a{attempt:02d}")


def without_retries(message: str) -> str:
    """Take from the sentence of a run that gave up what ended its last attempt."""
    found = GAVE_UP.match(message)
    return found[1] if found else message


def read_history(folder: str | None, records: Iterable[Record], committed: int | None) -> list[Try]:
    """Tell the attempts in order; `committed` is the step of the newest commit.

    `folder` is the run's directory; None leaves out what only its logs tell.
    """
    drafts = _drafts(records)
    if folder is not None:
        _read_logs(folder, drafts)
    numbers = sorted(drafts)
    starts = [_start(drafts[number]) for number in numbers[1:]]
    kept = [*starts, committed or 0] if numbers else []
    return [_try(n, drafts[n], k) for n, k in zip(numbers, kept, strict=True)]


def _read_logs(folder: str, drafts: dict[int, _Draft]) -> None:
    for name in _names(files.join(folder, "logs")):
        if found := re.fullmatch(r"a(\d+)", name):
            drafts.setdefault(int(found[1]), _Draft())
    for number, draft in drafts.items():
        logs = attempt_logs(folder, number)
        draft.aftermath = read_aftermath(logs)
        steps = (draft.last_step, _last_logged_step(logs, number))
        draft.last_step = max((step for step in steps if step is not None), default=None)


def _drafts(records: Iterable[Record]) -> dict[int, _Draft]:
    drafts: dict[int, _Draft] = {}
    current = 0
    for record in records:
        if isinstance(record, Attempt):
            before = drafts.get(current)
            if before and not before.ended and record.reason not in BEGINNINGS:
                before.ended, before.outcome = record.reason, "failed"
            current = record.attempt
            drafts.setdefault(current, _Draft()).record = record
        elif isinstance(record, Step):
            drafts.setdefault(record.attempt, _Draft()).last_step = record.step
        elif isinstance(record, Note):
            _take_note(drafts, record)
        elif isinstance(record, Committed | Evaluated) and current in drafts:
            drafts[current].reach(record.step)
        elif isinstance(record, Ended) and current in drafts:
            drafts[current].ended = without_retries(record.message)
            drafts[current].outcome = record.state
            drafts[current].reach(record.step)
    return drafts


def _take_note(drafts: dict[int, _Draft], note: Note) -> None:
    """Learn from a driver's note how an attempt ended; notes of old runs tell it in words alone."""
    if note.event == "fell_back" and drafts:
        drafts[max(drafts)].fell_back = note.step
    if note.attempt is not None and note.event in OUTCOMES:
        draft = drafts.setdefault(note.attempt, _Draft())
        draft.ended, draft.outcome = note.reason, OUTCOMES[note.event]
        return
    for pattern, outcome in ((RETRIED, "failed"), (PAUSED, "paused")):
        if found := pattern.fullmatch(note.text):
            draft = drafts.setdefault(int(found[1]), _Draft())
            draft.ended, draft.outcome = found[2], outcome


def _try(number: int, draft: _Draft, kept: int) -> Try:
    record, aftermath = draft.record, draft.aftermath
    if aftermath is not None and not draft.ended:
        draft.ended, draft.outcome = aftermath.message, "failed"
    lost = None
    if draft.last_step is not None and draft.outcome not in ("", "succeeded"):
        lost = max(0, draft.last_step - kept)
    return Try(
        attempt=number,
        began=record.time if record else None,
        num_workers=record.num_workers if record else None,
        nodes=record.nodes if record else (),
        first_step=_start(draft),
        last_step=draft.last_step,
        ended=draft.ended,
        outcome=draft.outcome,
        lost_steps=lost,
        aftermath=aftermath,
    )


def _start(draft: _Draft) -> int:
    if draft.fell_back is not None:
        return draft.fell_back
    return (draft.record.resumed_from_step or 0) if draft.record else 0


def _last_logged_step(logs: str, attempt: int) -> int | None:
    """Find the last step record in the log of rank 0."""
    try:
        text = read_end(files.join(logs, "rank-0.log"), TAIL_BYTES).decode(errors="replace")
    except (NotFoundError, StorageError):
        return None
    return _last_step(STEP_LINE.findall(text), attempt)


def _last_step(lines: Sequence[str], attempt: int) -> int | None:
    for line in reversed(lines):
        try:
            record = read_record(line)
        except ValidationError:
            continue
        if isinstance(record, Step) and record.attempt == attempt:
            return record.step
    return None


def _names(folder: str) -> list[str]:
    try:
        return files.list_names(folder)
    except StorageError:
        return []
