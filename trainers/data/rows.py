"""Read labelled rows from one source of any format; cleaning and hashing them stands elsewhere.

Every format gives the same: blocks of text columns, null where a row has no value, integer labels
as their decimal strings. What cannot be read raises DataError naming file and line.
"""

import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from configs.errors import DataError
from trainers.data.arrow_files import read_arrow, read_parquet
from trainers.data.databases import read_query
from trainers.data.delimited import read_delimited
from trainers.data.image_folders import read_images
from trainers.data.json_rows import read_json, read_json_lines
from trainers.data.sources import Source, local_copy
from trainers.data.text_pairs import read_text_pairs

BLOCK_ROWS = 16_384
"""Most rows of a block."""


def read_rows(source: Source, inputs: Sequence[str], target: str) -> Iterator[pa.Table]:
    """Yield the input columns and the target column of a source, all text, a block at a time.

    Raises DataError for an empty or malformed source, a missing column or values of a wrong type.
    """
    asked = [*inputs, target]
    columns = [source.columns.get(name, name) for name in asked]
    num_rows = 0
    try:
        for block in _blocks(source, columns):
            num_rows += block.num_rows
            yield block.rename_columns(asked) if columns != asked else block
    except (EOFError, OSError, lzma.LZMAError, zlib.error, pa.ArrowException) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"{source.shown} cannot be read as {source.format} after row {num_rows}: {problem}. "
            "It may be cut short or damaged: copy it again"
        ) from error
    if num_rows == 0:
        raise DataError(f"{source.shown} has no rows. Fill it, or leave it out of the data")


def _blocks(source: Source, columns: Sequence[str]) -> Iterator[pa.Table]:
    if source.format == "sql":
        yield from read_query(source.address, source.query or "", columns, source.hash)
    elif source.format == "images":
        yield from read_images(source.address, columns)
    else:
        with local_copy(source.address) as path:
            if path.stat().st_size == 0:
                raise DataError(f"{source.address} is empty. Fill it, or leave it out of the data")
            yield from _blocks_of_file(path, source, columns)


def _blocks_of_file(path: Path, source: Source, columns: Sequence[str]) -> Iterator[pa.Table]:
    address, encoding = source.address, source.encoding
    if source.format == "parquet":
        yield from read_parquet(path, address, columns)
    elif source.format == "arrow":
        yield from read_arrow(path, address, columns, source.classes)
    elif source.format == "text":
        assert source.pair is not None, "a text source has a pair"
        with local_copy(source.pair) as other:
            names = (address, source.pair)
            yield from read_text_pairs((path, other), names, columns, encoding)
    elif source.format == "json":
        yield from read_json(path, address, columns, encoding, source.field)
    elif source.format == "jsonl":
        yield from read_json_lines(path, address, columns, encoding)
    else:
        delimiter = "," if source.format == "csv" else "\t"
        yield from read_delimited(path, address, delimiter, columns, encoding)
