"""Say how runs stand: rows of a table, or lines; records one by one are told by messages.py."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from configs.records import Attempt, Committed, Ended, Evaluated, Mishap, Note, Record, Step
from configs.schema import Recipe
from configs.shown_metrics import first_metrics
from launcher.amounts import duration, percent, plural, rate, size
from launcher.live import progress_lines, waiting_for
from launcher.messages import (
    DROPPED,
    Line,
    Tone,
    data_line,
    data_warnings,
    evaluation_line,
    ledger_line,
    metric_name,
    shown_metrics,
    shown_value,
)
from launcher.plan import recipe_lines
from launcher.progress import Progress, progress_of
from launcher.whereabouts import LIVE, SILENT_S

if TYPE_CHECKING:
    from cluster.runs import RunState

LIST_HEADER = ("NAME", "STATE", "STEP", "ATTEMPTS", "RESULT", "STARTED")
LIST_DROP = ("ATTEMPTS", "OWNER", "STEP", "STARTED", "RESULT")
"""Columns that a narrow terminal does without, the first of them first."""
STEP_DROP = ("DATA WAIT", "GRAD NORM", "TOKENS/S", "EPOCH")
TONES: dict[str, Tone] = {"succeeded": "good", "failed": "bad", "stopped": "warning"}

Table = tuple[Sequence[str], list[Sequence[str]]]


def list_row(state: "RunState", step: int, now: float) -> tuple[str, ...]:
    """Give a run's row of the table of all runs."""
    result = ", ".join(shown_metrics(state.metrics)[:1]) if state.metrics else ""
    started = f"{duration(now - state.created)} ago"
    return (state.name, state.state, f"{step:,}", str(state.attempts), result, started)


def with_owners(
    header: Sequence[str], rows: Sequence[Sequence[str]], owners: Sequence[str]
) -> Table:
    """Add a column with the owners of runs where they are more than one."""
    if len(set(owners)) < 2:
        return header, [*rows]
    told = [(*row, owner) for row, owner in zip(rows, owners, strict=True)]
    return (*header, "OWNER"), [*told]


def status_lines(
    state: "RunState", progress: Progress, *, now: float, silent_s: float | None = None
) -> list[Line]:
    """Say how a run stands in a few lines.

    `silent_s` is for how long the driver of a live run has given no sign of life.
    """
    lines = [
        Line(
            state.state,
            (state.name, _since(state, now), plural(state.attempts, "attempt")),
            TONES.get(state.state, "plain"),
        )
    ]
    if state.state in LIVE:
        lines += (
            progress_lines(progress, now=now)
            if progress.step is not None
            else [Line("", (waiting_for(progress),))]
        )
        ways = (f"thaw watch {state.name}", f"thaw stop {state.name}")
        if silent_s is not None and silent_s > SILENT_S:
            silent = f"its driver has given no sign of life for {duration(silent_s)}"
            lines.append(Line("warning", (silent,), "warning"))
            ways = (f"thaw why {state.name}", f"thaw resume {state.name}")
        lines.append(Line("next", ways))
        return lines
    if state.metrics:
        lines.append(Line("result", shown_metrics(state.metrics)))
    if state.message and state.state != "succeeded":
        lines.append(Line("reason", (state.message,)))
    lines += [ledger] if (ledger := ledger_line(progress)) else []
    lines += [_next_line(state, progress)]
    return lines


def _since(state: "RunState", now: float) -> str:
    if state.state in LIVE:
        return f"for {duration(state.total_s(now))}"
    return f"{duration(now - state.updated)} ago, after {duration(state.total_s(now))}"


def _next_line(state: "RunState", progress: Progress) -> Line:
    name = state.name
    if state.state == "succeeded" and progress.exported is not None:
        return Line("export", (progress.exported.path,))
    if state.state == "succeeded":
        return Line("next", (f"thaw describe {name}",))
    way = "why" if state.state == "failed" else "resume"
    return Line("next", (f"thaw {way} {name}", f"thaw logs {name}"))


def damage_lines(sentences: Iterable[str], records: Iterable[Record] = ()) -> list[Line]:
    """Tell what is damaged in a run's directory; what is in its records a note among them tells."""
    notes = (record for record in records if isinstance(record, Note))
    lost = [note.text for note in notes if note.event == "damaged_lines"]
    return [Line("warning", (sentence,), "warning") for sentence in (*sentences, *lost)]


def describe_lines(
    state: "RunState",
    recipe: Recipe | None,
    records: Iterable[Record],
    *,
    goes_on: bool = True,
) -> list[Line]:
    """Say all there is to know about a run; without a recipe where nothing tells it any more.

    It does not go on where the optimizer state of its commits was dropped.
    """
    kept = list(records)
    progress = progress_of(state.name, kept)
    tone = TONES.get(state.state, "plain")
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.created))
    took = duration(state.total_s(time.time()))
    lines = [Line("run", (state.name, state.state, f"submitted {created}", took), tone)]
    lines.append(Line("owner", (state.owner or "nobody: it is older than owners are",)))
    lines += recipe_lines(recipe) if recipe is not None else []
    if progress.data is not None:
        lines += [data_line(progress.data), *data_warnings(progress.data)]
    lines += [_attempt(record) for record in kept if isinstance(record, Attempt)]
    lines += [_note(record) for record in kept if isinstance(record, Note | Mishap)]
    lines += [evaluation_line(record) for record in kept if isinstance(record, Evaluated)]
    lines += _commits([record for record in kept if isinstance(record, Committed)])
    lines += [] if goes_on else [Line("", (DROPPED,))]
    lines += [ledger] if (ledger := ledger_line(progress)) else []
    lines += [_ended(record) for record in kept if isinstance(record, Ended)]
    lines.append(Line("files", (f"{state.storage}/{state.name}",)))
    lines += [Line("prepared", (state.data_dir,))] if state.data_dir else []
    lines += [Line("export", (progress.exported.path,))] if progress.exported else []
    lines += [Line("jobs", state.job_ids)] if state.job_ids else []
    return lines


def _attempt(record: Attempt) -> Line:
    start = record.resumed_from_step
    where = "from the start" if start is None else f"from step {start:,}"
    nodes = ", ".join(f"rank {rank} on {node}" for rank, node in enumerate(record.nodes[:8])) + (
        ", ..." if len(record.nodes) > 8 else ""
    )
    return Line(f"attempt {record.attempt}", (record.reason, where, nodes))


def _note(record: Note | Mishap) -> Line:
    return Line("warning" if record.level == "warning" else "note", (record.text,))


def _commits(commits: list[Committed]) -> list[Line]:
    if not commits:
        return []
    last = commits[-1]
    made = f"{plural(len(commits), 'commit')} made"
    parts = (made, f"last at step {last.step:,}", size(last.num_bytes), last.checkpoint)
    return [Line("saved", (*parts, "those kept: thaw checkpoints list"))]


def _ended(record: Ended) -> Line:
    says_it = record.message.lower().startswith(record.state)
    return Line("ended" if says_it else record.state, (record.message,), TONES[record.state])


def evaluation_table(records: Iterable[Record]) -> Table:
    """Give every evaluation as a row, with a column for each metric that is looked at first."""
    found = [record for record in records if isinstance(record, Evaluated)]
    best = best_step(found)
    names = first_metrics(dict.fromkeys(name for record in found for name in record.metrics))
    header = ["STEP", "EPOCH", "SPLIT", "ROWS", *(metric_name(name).upper() for name in names)]
    rows: list[Sequence[str]] = [
        [
            f"{record.step:,}",
            f"{record.epoch:.2f}",
            f"{record.split}{' (best)' if record.best and record.step == best else ''}",
            f"{record.rows:,}",
            *(
                shown_value(record.metrics[name]) if name in record.metrics else ""
                for name in names
            ),
        ]
        for record in found
    ]
    return header, rows


def best_step(found: Sequence[Evaluated]) -> int | None:
    """Return the step of the best evaluation; the last that was the best so far."""
    return next((record.step for record in reversed(found) if record.best), None)


def every_metric_table(records: Iterable[Record]) -> Table:
    """Give every metric of every evaluation as a row."""
    found = [record for record in records if isinstance(record, Evaluated)]
    best = best_step(found)
    rows: list[Sequence[str]] = [
        [
            f"{record.step:,}",
            f"{record.epoch:.2f}",
            f"{record.split}{' (best)' if record.best and record.step == best else ''}",
            metric_name(name),
            shown_value(value),
        ]
        for record in found
        for name, value in record.metrics.items()
    ]
    return ("STEP", "EPOCH", "SPLIT", "METRIC", "VALUE"), rows


def step_table(records: Iterable[Record]) -> Table:
    """Give every step record as a row; without a column for tokens where rows have none."""
    found = [record for record in records if isinstance(record, Step)]
    has_tokens = any(record.tokens_per_s is not None for record in found)
    tokens = ["TOKENS/S"] if has_tokens else []
    header = ["STEP", "EPOCH", "LOSS", "LR", "GRAD NORM", "ROWS/S", *tokens, "DATA WAIT"]
    rows: list[Sequence[str]] = [
        [
            f"{record.step:,}",
            f"{record.epoch:.2f}",
            f"{record.loss:.4f}",
            f"{record.learning_rate:.1e}",
            f"{record.grad_norm:.2f}",
            rate(record.rows_per_s),
            *([_rate_of_tokens(record)] if has_tokens else []),
            percent(record.data_wait),
        ]
        for record in found
    ]
    return header, rows


def _rate_of_tokens(record: Step) -> str:
    return rate(record.tokens_per_s) if record.tokens_per_s is not None else ""


def metrics_table(
    records: Iterable[Record], *, steps: bool, everything: bool
) -> tuple[Sequence[str], list[Sequence[str]], Sequence[str]]:
    """Return the table that `thaw metrics` shows, and the columns it can do without in order."""
    if steps:
        return (*step_table(records), STEP_DROP)
    if everything:
        return (*every_metric_table(records), ())
    header, rows = evaluation_table(records)
    return header, rows, ("ROWS", "EPOCH", *reversed(header[5:]))
