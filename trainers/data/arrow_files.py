"""Rows of parquet and Arrow IPC files; which of them there are stands elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import DataError
from trainers.data.cells import Asked
from trainers.data.columns import MAX_ROWS, block_rows, check_columns, column_array

FILE_MAGIC = b"ARROW1"
CONTINUATION = b"\xff\xff\xff\xff"
"""What each part of a stream begins with; none did before Arrow 0.15."""
STREAM_END = CONTINUATION + b"\0\0\0\0"
EXTENSION = b"ARROW:extension:name"
PICKLED = ("ray.data.arrow_pickled_object", "arrow.py_extension_type")


def read_arrow(path: Path, address: str, kind: str, columns: Sequence[Asked]) -> Iterator[pa.Table]:
    """Yield the columns asked for of a parquet or Arrow file as text, a block at a time.

    Raises DataError for a damaged file, a missing column or one of another type.
    """
    names, rows = [each.name for each in columns], 0
    for batch in read_batches(path, address, kind, names, size=block_rows(columns)):
        arrays = [column_array(batch[each.name], each, address, rows + 1) for each in columns]
        yield pa.table(arrays, names=names)
        rows += batch.num_rows


def read_batches(
    path: Path,
    address: str,
    kind: str,
    columns: Sequence[str] | None = None,
    *,
    size: int = MAX_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Yield columns, or all, of a parquet file or an Arrow IPC file or stream, as they are.

    A stream must have been closed: one that was cut between two batches would read as whole.
    """
    rows = 0
    try:
        with ExitStack() as opened:
            if kind == "parquet":
                file = opened.enter_context(pq.ParquetFile(path))
                _refuse_objects(address, file.schema_arrow)
                check_columns(address, columns or (), file.schema_arrow.names)
                batches = file.iter_batches(batch_size=size, columns=columns)
            else:
                source = opened.enter_context(pa.memory_map(str(path)))
                schema, batches = _batches(source, address, opened)
                _refuse_objects(address, schema)
                check_columns(address, columns or (), schema.names)
            for batch in batches:
                chosen = batch if columns is None else batch.select(columns)
                for start in range(0, batch.num_rows, size):
                    yield chosen.slice(start, size)
                rows += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise _damaged(address, "parquet" if kind == "parquet" else "Arrow", rows, error) from error


def read_schema(path: Path, address: str, kind: str, columns: Sequence[str]) -> pa.Schema:
    """Read the types of a file's columns, and none of its rows.

    Raises DataError for a damaged file, a missing column and one of objects.
    """
    try:
        with ExitStack() as opened:
            if kind == "parquet":
                schema = opened.enter_context(pq.ParquetFile(path)).schema_arrow
            else:
                schema, _ = _batches(
                    opened.enter_context(pa.memory_map(str(path))), address, opened
                )
            _refuse_objects(address, schema)
            check_columns(address, columns, schema.names)
            return schema
    except (OSError, pa.ArrowException) as error:
        raise _damaged(address, "parquet" if kind == "parquet" else "Arrow", 0, error) from error


def _batches(
    source: pa.MemoryMappedFile, address: str, opened: ExitStack
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if source.read(len(FILE_MAGIC)) == FILE_MAGIC:
        source.seek(0)
        file = opened.enter_context(pa.ipc.open_file(source))
        return file.schema, (file.get_batch(n) for n in range(file.num_record_batches))
    source.seek(0)
    is_marked = source.read(len(CONTINUATION)) == CONTINUATION
    source.seek(max(0, source.size() - len(STREAM_END)))
    if is_marked and source.read() != STREAM_END:
        raise DataError(f"{address} is an Arrow stream without its end: cut short. Copy it again")
    source.seek(0)
    stream = opened.enter_context(pa.ipc.open_stream(source))
    return stream.schema, iter(stream)


def _refuse_objects(address: str, schema: pa.Schema) -> None:
    """Refuse columns of pickled objects, which would run their code as soon as they are read.

    A process that imports Ray Data knows how to read them (ray 2.60).
    """
    for field in schema:
        kind = field.type
        named = kind.extension_name if isinstance(kind, pa.BaseExtensionType) else ""
        named = named or (field.metadata or {}).get(EXTENSION, b"").decode(errors="replace")
        if named in PICKLED:
            raise DataError(
                f"{address}: column {field.name} holds pickled Python objects ({named}), which can "
                "run code when they are read. Write it as text or numbers"
            )


def _damaged(address: str, kind: str, rows: int, error: Exception) -> DataError:
    problem = " ".join(str(error).split()).rstrip(".")
    where = f"{address} cannot be read as {kind}"
    after = f" after row {rows}" if rows else ""
    return DataError(f"{where}{after}: {problem}. It may be cut short or damaged: copy it again")
