"""Write down on rank 0 what a run says: JSON lines and TensorBoard event files.

What is worth saying is the loop's; how pictures are drawn stands in figures.py.
"""

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from configs.errors import StorageError
from configs.outside_text import markdown, one_line, visible
from configs.records import Committed, Evaluated, Mishap, Record, Step, read_record
from configs.schema import Recipe
from configs.shown_metrics import first_metrics
from trainers import storage
from trainers.delivery import Delivery
from trainers.event_writer import EventWriter
from trainers.fence import is_superseded
from trainers.masking import masked
from trainers.persistence import persist

if TYPE_CHECKING:
    from trainers.tasks.judging import Sample, Scored

RECORDS_FILE = "metrics.jsonl"
EVENTS_FOLDER = "tensorboard"
STEP_SCALARS = {
    "loss/train": "loss",
    "optimizer/learning_rate": "learning_rate",
    "optimizer/grad_norm": "grad_norm",
    "perf/rows_per_s": "rows_per_s",
    "perf/tokens_per_s": "tokens_per_s",
    "perf/data_wait": "data_wait",
    "perf/padding": "padding",
    "perf/step_seconds": "seconds",
    "progress/epoch": "epoch",
    "progress/phase": "phase",
}
"""Tag to field of the step record."""
# TensorBoard shows groups of tags in alphabetical order: what a person looks at first comes first.
TAGS = {
    "data": "text: what a person should know of the data, where there is anything",
    "loss/train": "loss per target of the step's global batch",
    "loss/{split}": "loss per target of an evaluated split, beside that of training",
    "main/{split}/{metric}": "the task's first metric, of each evaluation but the test's",
    "metrics/{split}/{metric}": "each other metric of each evaluation but the test's",
    "metrics/{split}/confusion_matrix": "picture: rows by label and prediction",
    "metrics/{split}/f1_per_class": "picture: F1 of each class, worst on top",
    "metrics/{split}/pr_curve/{label}": "precision and recall, of the classes with most rows",
    "metrics/{split}/samples": "text: some rows with label and prediction",
    "metrics/{split}/pictures": "picture: some images with label and prediction",
    "optimizer/learning_rate": "learning rate of the step",
    "optimizer/grad_norm": "gradient norm before clipping",
    "perf/rows_per_s": "rows per second, all ranks together",
    "perf/tokens_per_s": "tokens per second without padding, all ranks together; not of images",
    "perf/data_wait": "share of the time that rank 0 waited for data",
    "perf/padding": "share of the fed tokens that was padding",
    "perf/step_seconds": "seconds per optimizer step",
    "perf/commit_seconds": "seconds from the copy of a commit's state to its end on the storage",
    "perf/commit_stall": "seconds that training waited for a commit",
    "progress/epoch": "epochs done",
    "progress/mishaps": "steps skipped or rolled back so far, where there are any",
    "progress/phase": "number of the phase",
    "recipe": "text: the recipe with all defaults",
    "result/{metric}": "the few metrics of the finished run that stand beside its hyperparameters",
    "test/{metric}": "each metric of the test split, and pictures and texts as of the other splits",
}
"""Every tag of the event files, and what it shows."""
NOT_TRIED = {"name", "storage"}
"""Keys of which each run has its own value."""
MAX_CURVES = 12
FAILING_S = 5.0
"""How long a run that fails still tries to write its records."""
OF_A_STEP = {"step", "evaluation", "commit", "ledger", "proof", "mishap"}
"""Kinds of records that are said again when their step is taken again."""


class Tracker:
    """The open files of one attempt; they belong to rank 0."""

    def __init__(
        self,
        run_dir: str,
        recipe: Recipe,
        *,
        resumed_from_step: int,
        attempt: int | None = None,
        notes: tuple[str, ...] = (),
        claim: str = "",
    ) -> None:
        """Open the files, and forget what an earlier attempt said about later steps.

        `notes` are sentences about the data. Nothing is written any more once an attempt behind
        `attempt`, which holds `claim`, has taken the run over.
        """
        self._records = storage.join(run_dir, RECORDS_FILE)
        self._recipe = recipe
        self._notes = notes
        self._first_step = resumed_from_step
        self._last_step = resumed_from_step
        self._opened: EventWriter | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._deadline_s = recipe.checkpoint.deadline_s
        self._artist = ThreadPoolExecutor(max_workers=1, thread_name_prefix="figures")
        self._drawing: Future[None] | None = None
        persist(lambda: forget_later_steps(self._records, resumed_from_step), self._deadline_s)
        superseded = partial(is_superseded, run_dir, attempt, claim) if attempt else lambda: False
        self._delivery = Delivery(self._records, storage.join(run_dir, EVENTS_FOLDER), superseded)

    def report(self, record: Record) -> None:
        """Append the record to metrics.jsonl, and its numbers to the curves; waits for neither."""
        self._delivery.add(record.model_dump_json())
        if isinstance(record, Step):
            values = record.model_dump()
            told = {tag: values[field] for tag, field in STEP_SCALARS.items()}
            scalars = {tag: value for tag, value in told.items() if value is not None}
        elif isinstance(record, Evaluated):
            first = first_metrics(record.metrics)[:1]
            scalars = {
                metric_tag(record.split, name, main=name in first): value
                for name, value in record.metrics.items()
                if value is not None
            }
        elif isinstance(record, Mishap):
            scalars = {"progress/mishaps": float(record.count)}
        elif isinstance(record, Committed):
            scalars = {"perf/commit_seconds": record.seconds, "perf/commit_stall": record.stalled_s}
        else:
            return
        self._last_step = max(self._last_step, record.step)
        if self._recipe.tracking.tensorboard:
            for tag, value in scalars.items():
                self._writer.scalar(tag, value, record.step, record.time)

    def evaluated(self, record: Evaluated, scored: "Scored", samples: "list[Sample]") -> None:
        """Show an evaluation as pictures, curves and samples."""
        if not self._recipe.tracking.tensorboard:
            return
        writer, prefix, step = self._writer, split_prefix(record.split), record.step
        if scored.pr_counts is not None:
            names = scored.label_names
            _add_pr_curves(writer, f"{prefix}/pr_curve", names, scored.pr_counts, step)
        pictured = [sample for sample in samples if sample.picture is not None]
        if samples and not pictured:
            writer.text(f"{prefix}/samples", _sample_table(samples), step)
        # Drawn beside the training: the other ranks would wait seconds for a hundred classes.
        self._finish_drawing()
        self._drawing = self._artist.submit(self._draw, prefix, scored, pictured, step)

    def finished(self, metrics: Mapping[str, float]) -> None:
        """Set the finished run's first metrics beside its hyperparameters."""
        if not self._recipe.tracking.tensorboard:
            return
        names = [*first_metrics(metrics), *(["loss"] if "loss" in metrics else [])]
        for name in dict.fromkeys(names):
            if not math.isnan(metrics[name]):
                self._writer.scalar(f"result/{name}", metrics[name], self._last_step)
        self._writer.end()

    def flush(self) -> None:
        """Bring what was said so far to its place; raises StorageError where it is not taken."""
        self._delivery.deliver()

    def close(self) -> None:
        """Bring what is written to its place.

        Raises StorageError when the storage does not take it within checkpoint.deadline_s; a run
        that ends by another error does not wait for that.
        """
        failing = sys.exc_info()[0] is not None
        deadline_s = min(self._deadline_s, FAILING_S) if failing else self._deadline_s
        try:
            self._finish_drawing()
        finally:
            self._artist.shutdown()
            self._delivery.stop(deadline_s)
            if self._opened is not None:
                self._opened.close()
            try:
                persist(self._delivery.deliver, deadline_s)
            except StorageError:
                if not failing:
                    raise
            if self._scratch is not None:
                self._scratch.cleanup()

    @property
    def _writer(self) -> EventWriter:
        """Open the event file at the first number: the first step does not wait for TensorBoard."""
        if self._opened is None:
            # A writer that the storage fails once is lost, so it writes into a folder of the node.
            self._scratch = tempfile.TemporaryDirectory(prefix="thaw-tensorboard-")
            folder = Path(self._scratch.name)
            # Points of steps that will be taken again are hidden from here on.
            purge = self._first_step + 1 if self._first_step else 0
            self._opened = EventWriter(folder, purge)
            text = json.dumps(self._recipe.model_dump(mode="json"), indent=2)
            shown = visible(text).replace("```", "\\u0060\\u0060\\u0060")
            self._opened.text("recipe", f"```json\n{shown}\n```", self._first_step)
            if self._notes:
                lines = "\n".join(f"- {_cell(note)}" for note in self._notes)
                self._opened.text("data", lines, self._first_step)
            self._opened.begin(hyperparameters(self._recipe))
            self._delivery.follow(folder, self._opened.flush)
        return self._opened

    def _draw(self, prefix: str, scored: "Scored", pictured: "list[Sample]", step: int) -> None:
        _add_figures(self._writer, prefix, scored, step)
        if pictured:
            _add_pictures(self._writer, f"{prefix}/pictures", pictured, step)
        self._delivery.look()

    def _finish_drawing(self) -> None:
        if self._drawing is not None:
            self._drawing.result()
            self._drawing = None


def forget_later_steps(address: str, step: int) -> None:
    """Drop from a file of records what was said about steps after the given one.

    Those steps are taken again. A line that cannot be read is kept as it is: nobody knows what it
    was about. A last line that was cut off goes.
    """
    if not storage.exists(address):
        return
    before = storage.read_bytes(address)
    *lines, cut_off = before.split(b"\n")
    if _step_of(cut_off) is not None:
        lines.append(cut_off)
    kept = [line for line in lines if (_step_of(line) or 0) <= step]
    after = b"".join(line + b"\n" for line in kept)
    if after != before:
        storage.write_atomically(address, after)


def split_prefix(split: str) -> str:
    """Return the group of tags of a split; the test's, which is one point, comes last."""
    return "test" if split == "test" else f"metrics/{split}"


def metric_tag(split: str, metric: str, *, main: bool) -> str:
    """Return the tag of a metric of a split; the loss and the task's first metric come first."""
    if metric == "loss" and split != "test":
        return f"loss/{split}"
    if main and split != "test":
        return f"main/{split}/{metric}"
    return f"{split_prefix(split)}/{metric}"


def hyperparameters(recipe: Recipe) -> dict[str, str | int | float | bool]:
    """Return what a run may be told by in a table of runs.

    Only the keys whose value is not the default, so that a table of some runs is not one of all
    keys, and always what is tried most. No key of the experiment is written with them: TensorBoard
    would show the columns of one run alone; so it collects them from all.
    """
    given = flatten(recipe.model_dump(mode="json", exclude_defaults=True))
    told = {key: value for key, value in given.items() if key not in NOT_TRIED}
    freezing = [key for key in told if key.startswith("freezing.") and key != "freezing.mode"]
    chosen = [f"{key.removeprefix('freezing.')} {told.pop(key)}" for key in freezing]
    mode = told.pop("freezing.mode", recipe.freezing.mode)
    return {
        **told,
        "epochs": recipe.epochs,
        "freezing": ", ".join([str(mode), *chosen] if mode != "partial" else chosen),
        "optimizer.learning_rate": recipe.optimizer.learning_rate,
    }


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Flatten nested sections to dotted names; what TensorBoard cannot show becomes text."""
    flat: dict[str, str | int | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float | bool):
            flat[prefix + name] = value
        elif isinstance(value, list | tuple):
            flat[prefix + name] = ", ".join(str(item) for item in value)
        else:
            flat[prefix + name] = "none"
    return flat


def _step_of(line: bytes) -> int | None:
    """Return the step a record is about, 0 for none; None for a line that is no record."""
    try:
        record = read_record(line)
    except ValidationError:
        return None
    return int(vars(record)["step"]) if record.kind in OF_A_STEP else 0


def _add_figures(writer: EventWriter, prefix: str, scored: "Scored", step: int) -> None:
    from trainers.figures import draw_confusion_matrix, draw_f1_per_class

    if scored.confusion is not None:
        matrix = draw_confusion_matrix(scored.confusion, scored.label_names)
        writer.image(f"{prefix}/confusion_matrix", matrix, step)
    if scored.per_class:
        bars = draw_f1_per_class(scored.per_class)
        writer.image(f"{prefix}/f1_per_class", bars, step)


def _add_pictures(writer: EventWriter, tag: str, samples: "list[Sample]", step: int) -> None:
    from trainers.figures import draw_pictures

    pictures = [sample.picture for sample in samples if sample.picture is not None]
    titles = [
        f"{_drawn(sample.prediction)} ({sample.probability or 0.0:.2f})\n"
        f"label {_drawn(sample.label)}"
        for sample in samples
    ]
    writer.image(tag, draw_pictures(pictures, titles), step)


def _add_pr_curves(
    writer: EventWriter, prefix: str, names: tuple[str, ...], pr_counts: np.ndarray, step: int
) -> None:
    support = pr_counts[0, :, 1].sum(axis=-1)  # each threshold divides the same rows
    most = np.argsort(-support, kind="stable")[:MAX_CURVES]
    for number in (n for n in most if support[n]):
        counts = pr_counts[:, number]  # (thresholds, 2, 2)
        hits, false_alarms = counts[:, 1, 1], counts[:, 0, 1]
        writer.pr_curve(
            f"{prefix}/{names[number]}",
            step,
            true_positive_counts=hits,
            false_positive_counts=false_alarms,
            true_negative_counts=counts[:, 0, 0],
            false_negative_counts=counts[:, 1, 0],
            precision=hits / np.maximum(1, hits + false_alarms),
            recall=hits / support[number],
            num_thresholds=len(counts),
        )


def _sample_table(samples: "list[Sample]") -> str:
    rows = ["| text | label | prediction | probability |", "|---|---|---|---|"]
    for sample in samples:
        probability = f"{sample.probability:.3f}" if sample.probability is not None else ""
        cells = (sample.text, sample.label, sample.prediction, probability)
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return markdown(masked(" ".join(text.split())))


def _drawn(text: str) -> str:
    """Return text for a picture; dollar signs would begin a formula (matplotlib)."""
    return one_line(masked(text)).replace("$", "\\$")
