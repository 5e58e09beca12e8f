"""Predict every row of a file with Ray Data, in the file's order; the model is trainers'."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data

from cluster.prediction_files import write_blocks
from cluster.secrets import take_secrets
from configs.errors import DataError
from configs.run_sections import Cluster
from configs.schema import Recipe
from configs.task_columns import Column
from trainers.data.bad_rows import BadRows
from trainers.data.sources import find_input
from trainers.data.whole_rows import BAD, CELL, WHERE, read_whole
from trainers.tasks import functions_of

BATCH_ROWS = 1024
ERROR = "error"
"""Column of the output with what is wrong with a row, where such rows are passed over."""


@dataclass(frozen=True)
class Asked:
    """What is to be predicted, and how."""

    source: str
    output: str
    overwrite: bool = False
    skips_bad: bool = False
    """Whether a row that cannot be predicted is written with an error, not refused."""
    kind: str = "auto"
    """Format of an input whose name does not tell it."""


def predict_file(recipe: Recipe, export: str, asked: Asked) -> tuple[int, BadRows]:
    """Predict all rows of a file, a glob or a folder in any format of data.

    The output has the input's columns and rows, with those that the task's predictions have.
    Returns the number of rows and those that could not be predicted. Raises DataError for input
    that cannot be read or, unless they are to be skipped, for such rows, all at once; LockedError
    for an output that is there already unless `overwrite`.
    """
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    task = functions_of(recipe.task)
    added = (*task.predicted, *((ERROR,) if asked.skips_bad else ()))
    data = _read(asked, task.columns(recipe.task).to_predict, added)
    size, secrets = recipe.batch.eval_microbatch_size, recipe.cluster.secrets
    predicted = data.map_batches(
        PredictBatch,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
        fn_constructor_args=(export, size, secrets, asked.skips_bad),
        **_pool(recipe.cluster),
    )
    bad = BadRows()
    blocks = predicted.iter_batches(batch_size=None, batch_format="pyarrow")
    settled = settle(blocks, bad, skips_bad=asked.skips_bad)
    return write_blocks(settled, asked.output, overwrite=asked.overwrite), bad


def settle(blocks: Iterable[pa.Table], bad: BadRows, *, skips_bad: bool) -> Iterator[pa.Table]:
    """Yield blocks as they are written; bad rows are counted and, unless skipped, refused at last.

    Raises DataError when all blocks were seen and rows of them are bad.
    """
    for block in blocks:
        wrong = block.filter(pc.is_valid(block[BAD])).select([WHERE, BAD])
        for row in wrong.to_pylist():
            bad.add(row[WHERE], row[BAD])
        own = block.drop_columns([WHERE, BAD])
        if skips_bad:
            yield own.append_column(ERROR, block[BAD].cast(pa.string()))
        elif not bad.total:
            yield own
    if bad.total and not skips_bad:
        raise DataError(
            f"{plural(bad.total)} cannot be predicted: {bad}. Mend them, or give --bad skip, which "
            f"writes them with what is wrong in the column {ERROR}"
        )


def plural(rows: int) -> str:
    """Return a number of rows in words."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


class PredictBatch:
    """A loaded model that adds its predictions to batches of rows; one per process."""

    def __init__(
        self,
        export: str,
        microbatch_size: int,
        secrets: tuple[str, ...] = (),
        skips_bad: bool = False,
    ) -> None:
        from trainers.predictor import Predictor

        take_secrets(secrets)
        self._predict = Predictor(export, microbatch_size=microbatch_size)
        self._skips_bad = skips_bad
        self._found_bad = False

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return rows with predicted columns in the place of the texts that were read of them.

        What is wrong with a row stands in the column `BAD`; where such rows are refused in the end,
        nothing more is predicted once there is one.
        """
        texts = [name for name in rows.column_names if name.startswith(CELL)]
        cells = rows.select(texts).rename_columns([name.removeprefix(CELL) for name in texts])
        wrong = dict(enumerate(rows[BAD].to_pylist()))
        good = [place for place, sentence in wrong.items() if sentence is None]
        encoded, faults = self._predict.encode(cells.take(pa.array(good, pa.int64())))
        wrong |= {good[place]: sentence.strip() for place, sentence in faults.items()}
        fine = [place for number, place in enumerate(good) if number not in faults]
        self._found_bad |= len(fine) < rows.num_rows
        names = self._predict.predicted
        if (self._found_bad and not self._skips_bad) or not fine:
            made: dict[str, list[Any]] = {name: [] for name in names}
            fine = []
        else:
            made = self._predict.predict(encoded)
        rows = rows.drop_columns([*texts, BAD])
        for name in names:
            values: list[Any] = [None] * rows.num_rows
            for place, value in zip(fine, made[name], strict=True):
                values[place] = self._named(name, value)
            rows = rows.append_column(name, pa.array(values))
        return rows.append_column(BAD, pa.array(wrong.values(), pa.string()))

    def _named(self, column: str, value: Any) -> Any:
        """Put the names of the labels to the probabilities of all."""
        if column != "probabilities":
            return value
        return dict(zip(self._predict.export.label_names, value, strict=True))


def _pool(asked: Cluster) -> dict[str, Any]:
    """Give each process of the pool what a worker takes; Ray Data starts as many as pay off."""
    return {
        "concurrency": (1, asked.most_workers),
        "num_cpus": asked.cpus_per_worker,
        "num_gpus": asked.gpus_per_worker or None,
    }


def _read(asked: Asked, inputs: Sequence[Column], added: Sequence[str]) -> "ray.data.Dataset":
    """Put all rows into the object store, as blocks in their order.

    So what is wrong with a file is said before a model is loaded.
    """
    blocks = (
        block.slice(start, BATCH_ROWS)
        for each in find_input(asked.source, asked.kind)
        for block in read_whole(each, inputs, added)
        for start in range(0, block.num_rows, BATCH_ROWS)
    )
    held: list[Any] = [ray.put(block) for block in blocks]
    return ray.data.from_arrow_refs(held)
