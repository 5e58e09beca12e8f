"""Files of predictions: which formats they have, and how blocks of rows are written into one."""

import base64
import csv
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import DataError, RecipeError
from trainers import storage as files

DELIMITERS = {".csv": ",", ".tsv": "\t"}
OUTPUTS = (".csv", ".tsv", ".jsonl", ".parquet")


def check_output(output: str) -> None:
    """Raise RecipeError for an output whose name ends in none of the formats."""
    if not output.endswith(OUTPUTS):
        known = f"{', '.join(OUTPUTS[:-1])} or {OUTPUTS[-1]}"
        raise RecipeError(f"{output} names no format. Let it end in {known}")


def write_blocks(blocks: Iterable[pa.Table], output: str, *, overwrite: bool = False) -> int:
    """Write blocks as one file, there entirely or not at all; return the number of rows."""
    with tempfile.TemporaryDirectory(prefix="thaw-predict-") as folder:
        path = Path(folder) / "output"
        delimiter = DELIMITERS.get(output[-4:])
        if output.endswith(".parquet"):
            rows = _write_parquet(blocks, path)
        elif delimiter is not None:
            rows = _write_delimited(blocks, path, delimiter)
        else:
            rows = _write_lines(blocks, path)
        files.upload(path, output, replace=overwrite)
    return rows


def _write_parquet(blocks: Iterable[pa.Table], path: Path) -> int:
    """Write the first block when the types of all its columns are known, and what was held back."""
    rows, writer = 0, None
    held: list[pa.Table] = []
    for block in blocks:
        rows += block.num_rows
        held.append(block)
        if writer is None:
            schema = _joined([each.schema for each in held])
            if any(pa.types.is_null(each.type) for each in schema):
                continue  # a column without a value so far: its type is still to come
            writer = pq.ParquetWriter(path, schema)
        for each in held:
            writer.write_table(_like(each, writer.schema))
        held = []
    if writer is not None:
        writer.close()
        return rows
    schema = _joined([each.schema for each in held])
    pq.write_table(
        pa.concat_tables([schema.empty_table(), *(_like(e, schema) for e in held)]), path
    )
    return rows


def _joined(schemas: list[pa.Schema]) -> pa.Schema:
    """Give columns without a value the type that they have in another block."""
    try:
        return pa.unify_schemas(schemas) if schemas else pa.schema([])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _differ(error) from error


def _like(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a block into a schema; files of one input may differ in the types of their columns."""
    try:
        return block.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        raise _differ(error) from error


def _differ(error: Exception) -> DataError:
    return DataError(
        f"the files of the input have other columns or types than the first: {error}. Predict "
        "them one by one, or into JSON lines"
    )


def _write_delimited(blocks: Iterable[pa.Table], path: Path, delimiter: str) -> int:
    """Write csv or tsv with a header; lists and objects are JSON, no value is an empty cell."""
    rows, names = 0, None
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        for block in blocks:
            if names is None:
                names = block.column_names
                writer.writerow(names)
            if set(names) != set(block.column_names):
                found, first = ", ".join(block.column_names), ", ".join(names)
                raise _differ(ValueError(f"found {found}, first {first}"))
            for row in block.select(names).to_pylist():
                writer.writerow([_cell(value) for value in row.values()])
            rows += block.num_rows
    return rows


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=_shown)
    return _shown(value) if isinstance(value, bytes) else value


def _write_lines(blocks: Iterable[pa.Table], path: Path) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for block in blocks:
            for row in block.to_pylist():
                stream.write(json.dumps(row, ensure_ascii=False, default=_shown) + "\n")
            rows += block.num_rows
    return rows


def _shown(value: object) -> str:
    """Write what JSON has no form for: bytes, times."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
