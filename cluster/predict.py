"""Predict every row of a file with Ray Data, in the file's order; the model is trainers'."""

import base64
import json
import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data

from cluster.secrets import take_secrets
from configs.errors import DataError, RecipeError
from configs.run_sections import Cluster
from configs.schema import Recipe
from configs.task_columns import Column
from trainers import storage as files
from trainers.data.sources import find_input
from trainers.data.whole_rows import CELL, WHERE, read_whole
from trainers.tasks import functions_of
from trainers.tasks.refusals import RowError

BATCH_ROWS = 1024
OUTPUTS = (".parquet", ".jsonl")


def check_output(output: str) -> None:
    """Raise RecipeError for an output that is neither parquet nor JSON lines."""
    if not output.endswith(OUTPUTS):
        raise RecipeError(f"{output} names no format. Let it end in {' or '.join(OUTPUTS)}")


def predict_file(
    recipe: Recipe, export: str, source: str, output: str, *, overwrite: bool = False
) -> int:
    """Predict all rows of a file, a glob or a folder in any format of data; gives their number.

    The output has the input's columns and rows, with those that the task's predictions have.
    Raises DataError for input that cannot be read, LockedError for an output that is there already
    unless `overwrite`.
    """
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    task = functions_of(recipe.task)
    data = _read(source, task.columns(recipe.task).to_predict, task.predicted)
    predicted = data.map_batches(
        PredictBatch,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
        fn_constructor_args=(export, recipe.batch.eval_microbatch_size, recipe.cluster.secrets),
        **_pool(recipe.cluster),
    )
    blocks = predicted.iter_batches(batch_size=None, batch_format="pyarrow")
    return _write(blocks, output, overwrite=overwrite)


class PredictBatch:
    """A loaded model that adds its predictions to batches of rows; one per process."""

    def __init__(self, export: str, microbatch_size: int, secrets: tuple[str, ...] = ()) -> None:
        from trainers.predictor import Predictor

        take_secrets(secrets)
        self._predict = Predictor(export, microbatch_size=microbatch_size)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Give rows with predicted columns in the place of the texts that were read of them."""
        own = [name for name in rows.column_names if not name.startswith((CELL, WHERE))]
        texts = [name for name in rows.column_names if name.startswith(CELL)]
        cells = rows.select(texts).rename_columns([name.removeprefix(CELL) for name in texts])
        try:
            made = self._predict(cells)
        except RowError as error:
            raise DataError(f"{rows[WHERE][error.index].as_py()}: {error.sentence}") from error
        rows = rows.select(own)
        for name, values in made.items():
            rows = rows.append_column(name, pa.array(values))
        return rows


def _pool(asked: Cluster) -> dict[str, Any]:
    """Give each process of the pool what a worker takes; Ray Data starts as many as pay off."""
    return {
        "concurrency": (1, asked.most_workers),
        "num_cpus": asked.cpus_per_worker,
        "num_gpus": asked.gpus_per_worker or None,
    }


def _read(source: str, inputs: Sequence[Column], added: Sequence[str]) -> "ray.data.Dataset":
    """Put all rows into the object store, as blocks in their order.

    So whatever is wrong with a row is said before a model is loaded.
    """
    blocks = (
        block.slice(start, BATCH_ROWS)
        for each in find_input(source)
        for block in read_whole(each, inputs, added)
        for start in range(0, block.num_rows, BATCH_ROWS)
    )
    held: list[Any] = [ray.put(block) for block in blocks]
    return ray.data.from_arrow_refs(held)


def _write(blocks: Iterable[pa.Table], output: str, *, overwrite: bool = False) -> int:
    """Write blocks as one file, there entirely or not at all; gives the number of rows."""
    with tempfile.TemporaryDirectory(prefix="thaw-predict-") as folder:
        path = Path(folder) / "output"
        write = _write_parquet if output.endswith(".parquet") else _write_lines
        rows = write(blocks, path)
        files.upload(path, output, replace=overwrite)
    return rows


def _write_parquet(blocks: Iterable[pa.Table], path: Path) -> int:
    rows = 0
    writer = None
    for block in blocks:
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(_like(block, writer.schema))
        rows += block.num_rows
    if writer is None:
        pq.write_table(pa.table({}), path)
    else:
        writer.close()
    return rows


def _like(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a block into a schema; files of one input may differ in the types of their columns."""
    try:
        return block.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        raise DataError(
            f"the files of the input have other columns or types than the first: {error}. Predict "
            "them one by one, or into JSON lines"
        ) from error


def _shown(value: object) -> str:
    """Write what JSON has no form for: bytes, times."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _write_lines(blocks: Iterable[pa.Table], path: Path) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for block in blocks:
            for row in block.to_pylist():
                stream.write(json.dumps(row, ensure_ascii=False, default=_shown) + "\n")
            rows += block.num_rows
    return rows
