"""Read labelled rows from one file of any format; cleaning and hashing them stands elsewhere.

Every format gives the same: blocks of text columns, null where a row has no value, integer labels
as their decimal strings. What cannot be read raises DataError naming file and line.
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import DataError
from trainers.data.columns import check_columns, label_array, text_array
from trainers.data.sources import Source, local_copy
from trainers.data.text_files import Cells, read_delimited, read_json, read_json_lines

BLOCK_ROWS = 16_384


def read_rows(source: Source, inputs: Sequence[str], target: str) -> Iterator[pa.Table]:
    """Yield the input columns and the target column of a file, all text, a block at a time.

    Raises DataError for an empty or malformed file, a missing column or values of a wrong type.
    """
    num_rows = 0
    try:
        with local_copy(source.address) as path:
            if path.stat().st_size == 0:
                raise DataError(f"{source.address} is empty. Fill it, or leave it out of the data")
            for block in _blocks(path, source, inputs, target):
                num_rows += block.num_rows
                yield block
    except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{source.address} cannot be read as {source.format}: {problem}") from error
    if num_rows == 0:
        raise DataError(f"{source.address} has no rows. Fill it, or leave it out of the data")


def _blocks(path: Path, source: Source, inputs: Sequence[str], target: str) -> Iterator[pa.Table]:
    if source.format == "parquet":
        yield from _parquet_blocks(path, source.address, inputs, target)
        return
    columns = (*inputs, target)
    rows = _text_rows(path, source, columns)
    while block := list(islice(rows, BLOCK_ROWS)):
        cells = zip(*block, strict=True)
        arrays = [pa.array(column, pa.string()) for column in cells]
        yield pa.table(arrays, names=list(columns))


def _text_rows(path: Path, source: Source, columns: Sequence[str]) -> Iterator[Cells]:
    if source.format in ("csv", "tsv"):
        delimiter = "," if source.format == "csv" else "\t"
        return read_delimited(path, source.address, delimiter, columns)
    if source.format == "json":
        return read_json(path, source.address, columns)
    return read_json_lines(path, source.address, columns)


def _parquet_blocks(
    path: Path, address: str, inputs: Sequence[str], target: str
) -> Iterator[pa.Table]:
    columns = [*inputs, target]
    with pq.ParquetFile(path) as file:
        check_columns(address, columns, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=columns):
            arrays = [text_array(batch[name], address, name) for name in inputs]
            arrays.append(label_array(batch[target], address, target))
            yield pa.table(arrays, names=columns)
