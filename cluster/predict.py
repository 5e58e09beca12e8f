"""Predict every row of a file with Ray Data, in the file's order; the model is trainers'."""

import csv
import gzip
import io
import json
import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data

from configs.errors import DataError, RecipeError
from configs.run_sections import Cluster
from configs.schema import Recipe
from trainers import storage as files

BATCH_ROWS = 1024
OUTPUTS = (".parquet", ".jsonl")


def check_output(output: str) -> None:
    """Raise RecipeError for an output that is neither parquet nor JSON lines."""
    if not output.endswith(OUTPUTS):
        raise RecipeError(f"{output} names no format. Let it end in {' or '.join(OUTPUTS)}")


def predict_file(recipe: Recipe, export: str, source: str, output: str) -> int:
    """Predict all rows of a csv, tsv, json, jsonl or parquet file; gives their number.

    The output has the input's columns and rows, with those that the task's predictions have.
    Raises DataError for input that cannot be read.
    """
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    from trainers.tasks import task_module

    task = task_module(recipe.task)
    asked = [c.name for c in task.columns(recipe.task).inputs if not c.may_be_empty]
    data = _read(source, asked, task.PREDICTED)
    predicted = data.map_batches(
        PredictBatch,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
        fn_constructor_args=(export, recipe.batch.eval_microbatch_size),
        **_pool(recipe.cluster),
    )
    return _write(predicted.iter_batches(batch_size=None, batch_format="pyarrow"), output)


class PredictBatch:
    """A loaded model that adds its predictions to batches of rows; one per process."""

    def __init__(self, export: str, microbatch_size: int) -> None:
        from trainers.predictor import Predictor

        self._predict = Predictor(export, microbatch_size=microbatch_size)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Add the predicted columns to rows."""
        for name, values in self._predict(rows).items():
            rows = rows.append_column(name, pa.array(values))
        return rows


def _pool(asked: Cluster) -> dict[str, Any]:
    """Give each process of the pool what a worker takes; Ray Data starts as many as pay off."""
    return {
        "concurrency": (1, asked.num_workers),
        "num_cpus": asked.cpus_per_worker,
        "num_gpus": asked.gpus_per_worker or None,
    }


def _read(source: str, asked: Sequence[str], made: Sequence[str]) -> "ray.data.Dataset":
    """Open a file as a data set of blocks in the file's order."""
    if not files.exists(source):
        raise DataError(f"{source} does not exist. Check the path; the cluster must see it")
    if source.endswith(".parquet"):
        data = ray.data.read_parquet(source)
    else:
        table = _read_rows(source)
        starts = range(0, max(1, table.num_rows), BATCH_ROWS)
        data = ray.data.from_arrow([table.slice(start, BATCH_ROWS) for start in starts])
    columns = data.schema().names
    missing = [column for column in asked if column not in columns]
    if missing:
        raise DataError(
            f"{source} has no column {missing[0]}; it has {', '.join(columns)}. "
            f"Name the column {missing[0]}"
        )
    taken = [column for column in made if column in columns]
    if taken:
        raise DataError(f"{source} has a column {taken[0]} already. Rename or drop it")
    return data


def _read_rows(source: str) -> pa.Table:
    """Read all columns of a text file; csv cells stay text, whatever they look like."""
    name = source.removesuffix(".gz")
    data = files.read_bytes(source)
    try:
        text = (gzip.decompress(data) if source.endswith(".gz") else data).decode("utf-8-sig")
        if name.endswith((".csv", ".tsv")):
            delimiter = "\t" if name.endswith(".tsv") else ","
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        elif name.endswith(".json"):
            rows = json.loads(text)
        elif name.endswith((".jsonl", ".ndjson")):
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            raise DataError(f"{source} names no format. Use csv, tsv, json, jsonl or parquet")
        names = dict.fromkeys(key for row in rows for key in row)
        if None in names:
            raise DataError(f"{source} has a row with more cells than its header. Quote its cells")
        return pa.table({key: [row.get(key) for row in rows] for key in names})
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{source} could not be read: {error}") from error


def _write(blocks: Iterable[pa.Table], output: str) -> int:
    """Write blocks as one file, there entirely or not at all; gives the number of rows."""
    with tempfile.TemporaryDirectory(prefix="thaw-predict-") as folder:
        path = Path(folder) / "output"
        write = _write_parquet if output.endswith(".parquet") else _write_lines
        rows = write(blocks, path)
        files.upload(path, output)
    return rows


def _write_parquet(blocks: Iterable[pa.Table], path: Path) -> int:
    rows = 0
    writer = None
    for block in blocks:
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block.cast(writer.schema))
        rows += block.num_rows
    if writer is None:
        pq.write_table(pa.table({}), path)
    else:
        writer.close()
    return rows


def _write_lines(blocks: Iterable[pa.Table], path: Path) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for block in blocks:
            for row in block.to_pylist():
                stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            rows += block.num_rows
    return rows
