"""Show a run while it goes on: redrawn lines on a terminal, plain lines elsewhere.

What a record says in words stands in messages.py.
"""

import time
from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from configs.records import Ended, Evaluated, Record
from launcher.amounts import duration, percent
from launcher.messages import DOT, LABEL_WIDTH, Line, Story, rates, shown_metrics
from launcher.progress import Progress
from launcher.terminal import Terminal

REDRAWS_PER_S = 4
BAR_WIDTH = 30
OLD_S = 15.0
"""Age of the newest step record from which on it is shown: slow is told from hung by it."""


def show(
    terminal: Terminal,
    story: Story,
    entries: Iterable[Record | str],
    *,
    seen: Iterable[Record] = (),
) -> Ended | None:
    """Show records, each once, until they end; give the last word.

    Log lines that are no records are left out. Records in `seen` count as shown before.
    """
    known = set()
    for record in seen:
        story.progress.add(record)
        known.add(_key(record))
    fresh = _once(entries, known)
    if terminal.as_json:
        return _as_json(terminal, story, fresh)
    if not terminal.is_live:
        return _as_lines(terminal, story, fresh)
    return _redrawn(terminal, story, fresh)


def _once(entries: Iterable[Record | str], known: set[int]) -> Iterator[Record]:
    for entry in entries:
        if not isinstance(entry, str) and (key := _key(entry)) not in known:
            known.add(key)
            yield entry


def _key(record: Record) -> int:
    return hash(record.model_dump_json())


def _as_json(terminal: Terminal, story: Story, records: Iterable[Record]) -> Ended | None:
    for record in records:
        story.tell(record)
        terminal.json(record.model_dump(mode="json"))
    return story.progress.ended


def _as_lines(terminal: Terminal, story: Story, records: Iterable[Record]) -> Ended | None:
    for record in records:
        terminal.lines(story.tell(record))
        terminal.out.file.flush()
    return story.progress.ended


def _redrawn(terminal: Terminal, story: Story, records: Iterable[Record]) -> Ended | None:
    started = time.time()

    def drawn() -> RenderableType:
        return panel(terminal, story.progress, now=time.time(), since=started)

    with Live(
        get_renderable=drawn,
        console=terminal.out,
        refresh_per_second=REDRAWS_PER_S,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        for record in records:
            for line in story.tell(record):
                live.console.print(terminal.rendered(line), soft_wrap=True)
    return story.progress.ended


def panel(terminal: Terminal, progress: Progress, *, now: float, since: float) -> RenderableType:
    """Draw where a run stands: a bar, then lines of facts; a spinner before the first step."""
    step = progress.step
    if progress.ended is not None:
        return Text("")
    if step is None and progress.preparing is not None and progress.data is None:
        preparing = progress.preparing
        return Group(
            _bar(progress.name, preparing.share),
            terminal.rendered(Line("data", (preparing.doing, duration(now - since)))),
        )
    if step is None:
        return Spinner("dots", f" {waiting_for(progress)} {DOT.strip()} {duration(now - since)}")
    bar = _bar(progress.name, step.step / max(1, step.total_steps))
    lines = progress_lines(progress, now=now)
    return Group(bar, *(terminal.rendered(line) for line in lines))


def _bar(name: str, share: float) -> Table:
    bar = Table.grid(padding=(0, 1, 0, 0))
    bar.add_row(
        f"{name:<{LABEL_WIDTH - 1}}",
        ProgressBar(total=1.0, completed=share, width=BAR_WIDTH),
        percent(share),
    )
    return bar


def waiting_for(progress: Progress) -> str:
    """Say what comes next before the first step; data and workers are made ready side by side."""
    if progress.data is None:
        return "waiting for the job" if progress.attempt is None else "preparing the data"
    if progress.attempt is None:
        return "waiting for the workers"
    return "loading the model" if progress.phase is None else "waiting for the first step"


def progress_lines(progress: Progress, *, now: float) -> list[Line]:
    """Say how far a run is, how fast, what is saved, and how good each evaluated split was."""
    step, committed = progress.step, progress.committed
    assert step is not None
    attempt = (f"attempt {progress.attempt.attempt}",) if progress.attempt else ()
    left = progress.remaining_s
    age = now - step.time
    far = (
        f"{step.step:,}/{step.total_steps:,}",
        f"epoch {step.epoch:.2f}",
        *attempt,
        *((f"{duration(left)} left",) if left is not None else ()),
        *((f"as of {duration(age)} ago",) if age >= OLD_S else ()),
    )
    speed = (
        f"loss {step.loss:.4f}",
        f"lr {step.learning_rate:.1e}",
        *rates(step),
        f"waiting for data {percent(step.data_wait)}",
    )
    saved = (
        ("no checkpoint yet",)
        if committed is None
        else (f"step {committed.step:,}", f"{duration(now - committed.time)} ago")
    )
    return [
        Line("step", far),
        Line("", speed),
        Line("saved", saved),
        *map(_how_good, progress.evaluations.values()),
    ]


def _how_good(evaluated: Evaluated) -> Line:
    best = ("the best so far",) if evaluated.best else ()
    facts = (*shown_metrics(evaluated.metrics), f"step {evaluated.step:,}", *best)
    return Line("evaluated", (evaluated.split, *facts))
