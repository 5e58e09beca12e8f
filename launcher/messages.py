"""Turn records into aligned lines of text; where they are printed, and how, is terminal.py's.

Every line is a word of up to nine letters that says what it is about, then its facts, each with
its unit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from configs.explanation import Explanation
from configs.records import (
    Attempt,
    Committed,
    DataReady,
    Ended,
    Evaluated,
    Exported,
    Ledger,
    Mishap,
    Note,
    Phase,
    Proof,
    Record,
    Recorded,
    Step,
)
from configs.shown_metrics import first_metrics
from launcher.amounts import duration, epochs, percent, plural, rate, short_count, size
from launcher.progress import Progress

DOT = " \u00b7 "
LABEL_WIDTH = 10
DROPPED = "weights alone: the optimizer state was dropped, and no step can follow"
SPLITS = ("train", "validation", "test")

Tone = Literal["plain", "good", "bad", "warning", "quiet"]


@dataclass(frozen=True)
class Line:
    """One line: a label and its facts, whose words are never broken: they can be copied."""

    label: str
    parts: tuple[str, ...]
    tone: Tone = "plain"
    indent: int = LABEL_WIDTH

    def rows(self, width: int | None) -> list[str]:
        """Lay the facts out, broken between facts where they do not fit the width."""
        text = DOT.join(self.parts)
        indent = max(self.indent, cell_len(self.label) + 1) if self.label else self.indent
        label = set_cell_size(self.label, indent)
        room = None if width is None else width - indent
        if room is None or cell_len(text) <= room or room < 20:
            return [f"{label}{text}".rstrip()]
        rows: list[str] = []
        for part in self.parts:
            joined = f"{rows[-1]}{DOT}{part}" if rows else part
            if rows and cell_len(joined) <= room:
                rows[-1] = joined
            else:
                rows += _wrapped(part, room)
        labels = [label, *[" " * indent] * (len(rows) - 1)]
        return [f"{label}{row}".rstrip() for label, row in zip(labels, rows, strict=True)]


def _wrapped(text: str, room: int) -> list[str]:
    """Break text between words, by the cells that a terminal needs for them."""
    rows: list[str] = []
    for word in text.split():
        joined = f"{rows[-1]} {word}" if rows else word
        if rows and cell_len(joined) <= room:
            rows[-1] = joined
        else:
            rows.append(word)
    return rows or [""]


def metric_name(key: str) -> str:
    """Give a metric's name as people write it."""
    return key.replace("_", " ").replace(" f1", " F1")


def shown_metrics(metrics: Mapping[str, float | None]) -> tuple[str, ...]:
    """Give the few metrics a person looks at first, or all where none of them is known."""
    return tuple(
        f"{metric_name(key)} {shown_value(metrics[key])}" for key in first_metrics(metrics)
    )


def shown_value(value: float | None) -> str:
    """Give the value of a metric in figures; a word for one that is undefined."""
    return "undefined" if value is None else f"{value:.4f}"


def explanation_lines(found: Explanation) -> list[Line]:
    """Say what a key of a recipe means."""
    default = "must be given" if found.default is None else f"default {found.default}"
    lines = [Line(found.key, (found.sentence,), indent=len(found.key) + 2)]
    if found.keys:
        width = max(len(key) for key, _ in found.keys) + 4
        return [*lines, *(Line(f"  {key}", (text,), indent=width) for key, text in found.keys)]
    return [*lines, Line("", (found.type, default, *found.bounds), indent=2)]


def data_line(record: DataReady) -> Line:
    """Say what came in, what was dropped and what is there."""
    dropped = [f"{plural(record.duplicates, 'duplicate')} dropped"] if record.duplicates else []
    dropped += [f"{count:,} {reason}" for reason, count in record.dropped.items() if count]
    came = ", ".join([f"{plural(record.rows_in, 'row')} in", *dropped])
    splits = ", ".join(rows_of(name, rows) for name, rows in record.splits.items() if rows)
    labels = [plural(record.num_labels, "label")] if record.num_labels else []
    return Line("data", (came, splits, *labels, *(["cached"] if record.cached else [])))


def rows_of(split: str, rows: int) -> str:
    """Say how many rows there are of a split, or of a file that stands for one."""
    return f"{rows:,} {split}" if split in SPLITS else f"{plural(rows, 'row')} of {split}"


def data_warnings(record: DataReady) -> list[Line]:
    """Say what a person should know of the data."""
    lines = [
        Line("changed", (f"{count:,} {what}",)) for what, count in record.changed.items() if count
    ]
    if record.conflicts:
        same = "have the same input and another label"
        lines.append(Line("note", (f"{plural(record.conflicts, 'training row')} {same}",)))
    shared = [f"{count:,} {what}" for what, count in record.contamination.items()]
    if shared:
        left_out = "left out of the split named first"
        lines.append(Line("warning", (", ".join(shared), left_out), "warning"))
    return [*lines, *(Line("note", (note,)) for note in record.notes)]


def data_table(record: DataReady) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give what became of the rows as a table."""
    fates = [("rows in", record.rows_in)]
    fates += [(f"kept in {name}", rows) for name, rows in record.splits.items()]
    fates += [("dropped: duplicates", record.duplicates)] if record.duplicates else []
    fates += [(f"dropped: {reason}", count) for reason, count in record.dropped.items()]
    fates += [("conflicting labels", record.conflicts)] if record.conflicts else []
    fates += [(f"contamination: {what}", count) for what, count in record.contamination.items()]
    total = max(1, record.rows_in)
    rows = [[name, f"{count:,}", percent(count / total)] for name, count in fates]
    return ("WHAT", "ROWS", "SHARE"), rows


def step_line(record: Step) -> Line:
    """Say where training is, how well and how fast."""
    parts = (
        f"step {record.step:,}/{record.total_steps:,}",
        f"loss {record.loss:.4f}",
        f"lr {record.learning_rate:.1e}",
        *rates(record),
        f"waiting for data {percent(record.data_wait)}",
        f"grad norm {record.grad_norm:.2f}",
    )
    return Line("", parts, indent=2)


def rates(record: Step) -> tuple[str, ...]:
    """Give how many rows a second are trained on, and tokens where rows have any."""
    tokens = record.tokens_per_s
    told = (f"{rate(tokens)} tokens/s",) if tokens is not None else ()
    return (f"{rate(record.rows_per_s)} rows/s", *told)


def evaluation_line(record: Evaluated) -> Line:
    """Say how good the model is on a split."""
    where = f"step {record.step:,}, epoch {epochs(record.epoch)}"
    best = ("best so far",) if record.best else ()
    parts = (record.split, *shown_metrics(record.metrics), plural(record.rows, "row"), where, *best)
    return Line("evaluated", parts)


class Story:
    """Tell a run's records one after another; keeps what the closing lines need."""

    def __init__(self, name: str, *, steps: bool = True, look: tuple[str, ...] = ()) -> None:
        """Begin a story; `look` names where to look when a job that is not the run's own fails."""
        self.progress = Progress(name)
        self._look = look
        self._steps = steps

    def tell(self, record: Record) -> list[Line]:
        """Give the lines for one more record."""
        before = self.progress.attempt
        self.progress.add(record)
        if isinstance(record, DataReady):
            return [data_line(record), *data_warnings(record)]
        if isinstance(record, Attempt):
            return [_attempt_line(record, before)]
        if isinstance(record, Phase):
            return [_phase_line(record)]
        if isinstance(record, Proof):
            return [_proof_line(record)] if record.num_phases > 1 else []
        if isinstance(record, Recorded):
            return [_recorded_line(record)]
        if isinstance(record, Step):
            return [step_line(record)] if self._steps else []
        if isinstance(record, Evaluated):
            return [evaluation_line(record)]
        if isinstance(record, Committed):
            parts = (f"step {record.step:,}", f"{size(record.num_bytes)} in {record.seconds:.1f} s")
            return [Line("saved", parts, "quiet")]
        if isinstance(record, Ledger):
            return [] if record.ok else [_broken_ledger_line(record)]
        if isinstance(record, Note | Mishap):
            return [_note_line(record)]
        return self._closing(record) if isinstance(record, Ended) else []

    def _closing(self, ended: Ended) -> list[Line]:
        name, progress = self.progress.name, self.progress
        seconds = progress.worked_s
        took = (duration(seconds),) if seconds >= 1 else ()  # a job may say its last word alone
        if ended.state == "failed":
            look = self._look or (f"thaw why {name}", f"thaw logs {name}")
            return [Line("failed", (ended.message, *took), "bad"), Line("look at", look)]
        if ended.state == "stopped":
            again = (f"go on with: thaw resume {name}",)
            at = f"at step {ended.step:,}" if ended.step else "before the first step"
            return [Line("stopped", (at, *took), "warning"), Line("next", again)]
        facts = shown_metrics(ended.metrics)[:2]
        rows = (f"on {_rows_of(ended, progress)}",) if ended.rows and facts else ()
        weights = exported_weights(progress.exported) if progress.exported is not None else ()
        lines = [Line("done", (*(facts or (ended.message,)), *rows, *weights, *took), "good")]
        if ledger := ledger_line(progress):
            lines.append(ledger)
        if progress.exported is not None:
            loads = "loads with transformers.pipeline"
            loads += ", trust_remote_code=True" if progress.exported.holds_code else ""
            lines.append(Line("export", (progress.exported.path, loads)))
        return lines


def _attempt_line(record: Attempt, before: Attempt | None) -> Line:
    nodes = len(set(record.nodes))
    machines = f"{plural(record.num_workers, 'worker')} on {plural(nodes, 'node')}"
    if before is None and record.attempt == 1 and record.resumed_from_step is None:
        return Line("cluster", (machines,))
    start = record.resumed_from_step
    where = "from the start" if start is None else f"goes on from step {start:,}"
    return Line(f"attempt {record.attempt}", (machines, where, record.reason), "warning")


def _phase_line(record: Phase) -> Line:
    learn = (
        f"all {short_count(record.total_parameters)} parameters learn"
        if record.trainable_parameters == record.total_parameters
        else f"{short_count(record.trainable_parameters)} of "
        f"{short_count(record.total_parameters)} parameters learn"
    )
    if record.num_phases == 1 or record.last_step is None:
        return Line("phase", (record.name, learn, plural(record.total_steps, "step")))
    steps = f"steps {record.first_step + 1:,} to {record.last_step:,}"
    return Line(f"phase {record.phase}/{record.num_phases}", (record.name, learn, steps))


def _proof_line(record: Proof) -> Line:
    moved = f"{record.moved_tensors:,} of {plural(record.new_tensors, 'new tensor')} moved"
    still = f"{short_count(record.frozen_parameters)} frozen parameters unchanged"
    if not record.frozen_unchanged:
        return Line("proof", (moved, "a frozen parameter CHANGED"), "bad")
    return Line("proof", (moved, *((still,) if record.frozen_parameters else ())), "quiet")


def _recorded_line(record: Recorded) -> Line:
    blocks = f"{record.blocks} of {plural(record.num_blocks, 'block')} computed once"
    made = (f"{size(record.num_bytes)} on disk", duration(record.seconds))
    return Line("recorded", (blocks, *(("found on disk",) if record.cached else made)), "quiet")


def _note_line(record: Note | Mishap) -> Line:
    tone: Tone = "warning" if record.level == "warning" else "plain"
    return Line("warning" if record.level == "warning" else "note", (record.text,), tone)


def _broken_ledger_line(record: Ledger) -> Line:
    text = f"epoch {record.epoch}: {record.rows:,} of {record.expected_rows:,} {record.split} rows"
    return Line("ledger", (text, "does not add up"), "bad")


def ledger_line(progress: Progress) -> Line | None:
    """Say that every row, or every draw, was seen once in every epoch, from a run's ledgers."""
    ledgers = list(progress.ledgers.values())
    if not ledgers or not all(ledger.ok for ledger in ledgers):
        return None
    rows = ", ".join(sorted({f"{ledger.rows:,}" for ledger in ledgers}))
    times = plural(len(ledgers), "epoch")
    seen = "drawn by balance, each draw once" if ledgers[-1].drawn else "each row once"
    parts: tuple[str, ...] = (f"{times} x {rows} rows, {seen}",)
    if progress.exported is not None and progress.exported.frozen_unchanged:
        parts += () if progress.all_learn else ("frozen weights unchanged",)
    return Line("ledger", parts)


def exported_weights(record: Exported) -> tuple[str, ...]:
    """Say which weights were exported: after which epoch, and why these."""
    if record.epoch is None or record.epochs is None:
        return ()
    why = f"best by {metric_name(record.best_metric)}" if record.best_metric else "the last one"
    return (f"epoch {epochs(record.epoch)} of {epochs(record.epochs)} is exported, {why}",)


def _rows_of(ended: Ended, progress: Progress) -> str:
    splits: Iterable[str] = ("test", "validation")
    expected = progress.data.splits if progress.data is not None else {}
    for name in [name for name in expected if name not in SPLITS]:
        return rows_of(name, ended.rows)
    whole = next((expected[name] for name in splits if expected.get(name)), None)
    return f"{ended.rows:,} of {whole:,} rows" if whole else plural(ended.rows, "row")
