"""Refuse an input of predicting as early as it can be seen: where the command is typed."""

from collections.abc import Sequence
from itertools import islice

import pyarrow.parquet as pq

from configs.schema import Recipe
from trainers import storage
from trainers.data.columns import check_columns
from trainers.data.delimited import read_header
from trainers.data.delimited_form import DELIMITERS
from trainers.data.json_values import read_values
from trainers.data.rows import form_of
from trainers.data.sources import Source, find_input
from trainers.listing import is_glob
from trainers.tasks import functions_of

MAX_JSON_ROWS = 1_000
"""Rows of a JSON lines file up to which its columns are known at once."""


def check_input(recipe: Recipe, source: str, kind: str = "auto") -> None:
    """Refuse an input on a disk of this machine that a run's model cannot be asked about.

    Raises DataError for what does not exist, is of no known format or lacks a column that the task
    reads. What lies elsewhere is left to the job, and so is a folder that only others may see.
    """
    path = storage.local_path(source)
    if path is None or not (path.exists() or path.parent.is_dir() or is_glob(source)):
        return
    wanted = [column.name for column in functions_of(recipe.task).columns(recipe.task).to_predict]
    for each in find_input(source, kind):
        found = _columns(each, wanted)
        if found is not None:
            check_columns(each.address, wanted, found)


def _columns(source: Source, wanted: Sequence[str]) -> list[str] | None:
    """Return the columns of a local file; None where only reading all of it would tell."""
    path = storage.local_path(source.address)
    if path is None or not path.is_file():
        return None
    if source.format in DELIMITERS:
        form = form_of(path, source, wanted)
        sign, encoding = form.delimiter, source.encoding
        return read_header(path, source.address, sign, encoding, quotes=form.quotes)
    if source.format == "parquet" and source.address.endswith((".parquet", ".pq")):
        try:
            return list(pq.read_schema(path).names)
        except (OSError, ValueError):
            return None  # the job says what is wrong with it
    if source.format == "jsonl":
        values = read_values(path, source.address, source.encoding, lines=True)
        rows = [row for _, row in islice(values, MAX_JSON_ROWS)]
        if rows and len(rows) < MAX_JSON_ROWS and all(isinstance(row, dict) for row in rows):
            return list(dict.fromkeys(key for row in rows for key in row))
    return None
