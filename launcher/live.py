"""Show a run while it goes on: redrawn lines on a terminal, plain lines elsewhere.

What a record says in words stands in messages.py.
"""

import time
from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.text import Text

from configs.records import Ended, Evaluated, Record, Step
from launcher.amounts import duration, percent, plural, rate
from launcher.messages import BAR, DOT, Line, Story, shown_metrics
from launcher.progress import Progress
from launcher.terminal import Terminal

REDRAWS_PER_S = 4
BAR_WIDTH = 30


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
    """Draw where a run stands: a bar, then two lines of facts; a spinner before the first step."""
    step = progress.step
    if progress.ended is not None:
        return Text("")
    if step is None:
        return Spinner("dots", f" {waiting_for(progress)} {DOT.strip()} {duration(now - since)}")
    done = ProgressBar(total=step.total_steps, completed=step.step, width=BAR_WIDTH)
    return Group(done, *(terminal.rendered(line) for line in progress_lines(progress, now=now)))


def waiting_for(progress: Progress) -> str:
    """Say what comes next before the first step."""
    if progress.data is None:
        return "waiting for the job, then the data"
    if progress.attempt is None:
        return "waiting for the workers"
    return "loading the model" if progress.phase is None else "waiting for the first step"


def progress_lines(progress: Progress, *, now: float) -> list[Line]:
    """Say where a run stands: how far, how fast, then a line for each evaluated split."""
    step = progress.step
    assert step is not None
    speed = (
        f"loss {step.loss:.4f}",
        f"lr {step.learning_rate:.1e}",
        f"{rate(step.rows_per_s)} rows/s",
        f"{rate(step.tokens_per_s)} tokens/s",
        f"waiting for data {percent(step.data_wait)}",
    )
    facts = [_how_far(progress, step, now), speed, *map(_how_good, progress.evaluations.values())]
    return [Line("", parts, separator=BAR, indent=0) for parts in facts]


def _how_far(progress: Progress, step: Step, now: float) -> tuple[str, ...]:
    committed, left = progress.committed, progress.remaining_s
    return (
        f"{progress.name}: step {step.step:,}/{step.total_steps:,}",
        f"epoch {step.epoch:.2f}",
        *((f"attempt {progress.attempt.attempt}",) if progress.attempt else ()),
        *((f"{duration(left)} left",) if left is not None else ()),
        "no checkpoint yet"
        if committed is None
        else f"last checkpoint {duration(now - committed.time)} ago (step {committed.step:,})",
    )


def _how_good(evaluated: Evaluated) -> tuple[str, ...]:
    first, *others = shown_metrics(evaluated.metrics)
    where = f"at step {evaluated.step:,}" + (", the best" if evaluated.best else "")
    return (f"{evaluated.split} {first}", *others, plural(evaluated.rows, "row"), where)
