"""Parquet and Arrow files: the same rows whatever the container, and damage is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import DataError
from trainers.data.arrow_files import read_arrow, read_batches
from trainers.data.cells import Asked
from trainers.data.columns import MAX_ROWS

COLUMNS = [Asked("text", "text"), Asked("label", "label")]


def table(rows: int = 50_000) -> pa.Table:
    texts = pa.array([f"text {n}" for n in range(rows)], pa.large_string())
    return pa.table({"other": [1] * rows, "label": list(range(rows)), "text": texts})


def write_file(path: Path, rows: pa.Table, **options: Any) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema, **options) as out:
        out.write_table(rows, max_chunksize=20_000)
    return path


def write_stream(path: Path, rows: pa.Table, **options: Any) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.schema, **options) as out:
        out.write_table(rows, max_chunksize=20_000)
    return path


def write_parquet(path: Path, rows: pa.Table) -> Path:
    pq.write_table(rows, path, row_group_size=20_000)
    return path


WRITERS = [write_file, write_stream, write_parquet]


def blocks(path: Path, writer: Any, classes: Any = None) -> list[pa.Table]:
    named = [replace(each, names=(classes or {}).get(each.name, ())) for each in COLUMNS]
    return list(read_arrow(path, "rows", kind(writer), named))


def kind(writer: Any) -> str:
    return "parquet" if writer is write_parquet else "arrow"


def read(path: Path, writer: Any, classes: Any = None) -> pa.Table:
    return pa.concat_tables(blocks(path, writer, classes))


@pytest.mark.parametrize("writer", WRITERS)
def test_rows_come_as_text_in_bounded_blocks(tmp_path: Path, writer: Any) -> None:
    path = writer(tmp_path / "rows", table())
    found_blocks = blocks(path, writer)
    assert max(block.num_rows for block in found_blocks) <= MAX_ROWS
    found = pa.concat_tables(found_blocks).to_pydict()
    assert found["text"] == [f"text {n}" for n in range(50_000)]
    assert found["label"] == [str(n) for n in range(50_000)]
    assert list(found) == ["text", "label"]


def test_compressed_batches_are_read(tmp_path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for writer in (write_file, write_stream):
        path = writer(tmp_path / "rows", table(100), options=options)
        assert read(path, writer).num_rows == 100


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("part", [0.3, 0.7, 0.999])
def test_what_is_cut_short_is_named(tmp_path: Path, writer: Any, part: float) -> None:
    path = writer(tmp_path / "rows", table())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match=r"rows (cannot be read as|is an Arrow stream with).*opy"):
        read(path, writer)


def test_a_stream_that_was_cut_between_batches_is_named(tmp_path: Path) -> None:
    """Without its end it would read as a whole file of fewer rows."""
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, table(10).schema)
    writer.write_table(table(10))
    size = sink.tell()
    writer.close()
    path = tmp_path / "rows"
    path.write_bytes(sink.getvalue().to_pybytes()[:size])
    with pytest.raises(
        DataError, match=r"rows is an Arrow stream without its end: cut short. Copy"
    ):
        read(path, write_stream)


@pytest.mark.parametrize("writer", WRITERS)
def test_columns_are_checked(tmp_path: Path, writer: Any) -> None:
    path = writer(tmp_path / "rows", pa.table({"text": ["a"], "labels": [1]}))
    with pytest.raises(DataError, match=r"rows has no column label. Nearest: labels"):
        read(path, writer)
    path = writer(tmp_path / "rows", pa.table({"text": ["a"], "label": [0.5]}))
    with pytest.raises(DataError, match=r"rows from row 1 on: label column label holds numbers"):
        read(path, writer)
    twice = pa.table([["a"], ["b"], ["x"]], names=["text", "text", "label"])
    path = writer(tmp_path / "rows", twice)
    with pytest.raises(DataError, match=r"column text more than once \(columns 1, 2\)"):
        read(path, writer)


def test_class_numbers_become_names(tmp_path: Path) -> None:
    rows = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]})
    path = write_stream(tmp_path / "rows", rows)
    found = read(path, write_stream, {"label": ("no", "yes")})
    assert found["label"].to_pylist() == ["yes", "no", None]
    with pytest.raises(DataError, match=r"column label has class 1 where .* names 1"):
        read(path, write_stream, {"label": ("no",)})


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    path = write_file(tmp_path / "rows", pa.table({"text": bad, "label": [1]}))
    with pytest.raises(DataError, match=r"rows from row 1 on: column text holds what is no text"):
        read(path, write_file)


@pytest.mark.parametrize("writer", WRITERS)
def test_columns_of_pickled_objects_are_refused(tmp_path: Path, writer: Any) -> None:
    """As Ray Data writes them: whoever knows the type unpickles them as soon as they are read."""
    marked = {b"ARROW:extension:name": b"ray.data.arrow_pickled_object"}
    schema = pa.schema([pa.field("text", pa.binary(), metadata=marked), ("label", pa.int64())])
    rows = pa.Table.from_arrays([pa.array([b"x"]), pa.array([1])], schema=schema)
    with pytest.raises(DataError, match=r"rows: column text holds pickled .* Write it as text or"):
        read(writer(tmp_path / "rows", rows), writer)


@pytest.mark.parametrize("writer", WRITERS)
def test_all_columns_come_as_they_are(tmp_path: Path, writer: Any) -> None:
    path = writer(tmp_path / "rows", table(30_000))
    batches = list(read_batches(path, "rows", kind(writer), size=7_000))
    assert pa.Table.from_batches(batches).equals(table(30_000))
    assert max(batch.num_rows for batch in batches) <= 7_000
