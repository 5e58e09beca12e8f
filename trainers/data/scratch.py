"""Rows on their way from one stage of a preparation to the next; prepared rows are the store's.

A file is there entirely or not at all. What a finished piece of work wrote is noted with its
hashes, so that a preparation that was killed goes on from there.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from configs.errors import NotFoundError, StorageError, reason_of
from trainers import storage
from trainers.data.store import FROZEN

FLUSH_ROWS = 131_072
FLUSH_BYTES = 48 * 2**20

Places = np.ndarray[tuple[int], np.dtype[np.int64]]
Made = TypeVar("Made", bound=BaseModel)


class File(BaseModel):
    """One file of the work folder."""

    model_config = FROZEN
    name: str
    hash: str


class Note(BaseModel):
    """What a finished piece of work gave and wrote."""

    model_config = FROZEN
    made: str
    files: tuple[File, ...]


class BucketFile:
    """One file that takes rows of all buckets; each batch of it holds rows of one bucket.

    However many buckets there are, one file is open, and at most FLUSH_BYTES are held.
    """

    def __init__(self, path: Path, flush_rows: int) -> None:
        self._path, self._flush_rows = path, flush_rows
        self._held: list[tuple[pa.Table, Places]] = []
        self._buckets: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def append(self, rows: pa.Table, buckets: Places) -> None:
        """Add rows with the bucket of each; all rows of one file have the same columns."""
        self._held.append((rows, buckets))
        num_rows = sum(len(each) for _, each in self._held)
        num_bytes = sum(table.nbytes for table, _ in self._held)
        if num_rows >= self._flush_rows or num_bytes >= FLUSH_BYTES:
            self._flush()

    def close(self) -> None:
        """Finish the file, with the buckets of its batches beside it."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        index = np.concatenate(self._buckets or [np.zeros(0, np.int32)])
        np.save(self._path.with_suffix(".npy"), index)

    def _flush(self) -> None:
        if not self._held:
            return
        rows = pa.concat_tables([table for table, _ in self._held]).combine_chunks()
        buckets = np.concatenate([each for _, each in self._held])
        self._held.clear()
        if len(rows) == 0:
            return
        order = np.argsort(buckets, kind="stable")
        found, starts = np.unique(buckets[order], return_index=True)
        rows = rows.take(pa.array(order))
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._path), rows.schema)
        ends = [*starts[1:].tolist(), len(order)]
        for start, end in zip(starts.tolist(), ends, strict=True):
            part = rows.slice(start, end - start).combine_chunks()
            self._writer.write_table(part, max_chunksize=len(part))
        self._buckets.append(found.astype(np.int32))


@contextmanager
def bucket_file(
    folder: str, key: str, name: str, *, flush_rows: int = FLUSH_ROWS
) -> Iterator[BucketFile]:
    """Write `<folder>/<key>/<name>.arrow` bucket by bucket; nothing is left if the block fails."""
    with _temporary_folder(folder) as temporary:
        file = BucketFile(temporary / "rows.arrow", flush_rows)
        yield file
        file.close()
        for suffix in (".arrow", ".npy"):
            path = temporary / f"rows{suffix}"
            if path.exists():
                _put(path, storage.join(folder, key, f"{name}{suffix}"))


def read_bucket(folder: str, key: str, name: str, bucket: int) -> pa.Table | None:
    """Read the rows of one bucket; None where there are none."""
    address = storage.join(folder, key, name)
    index = np.load(BytesIO(storage.read_bytes(f"{address}.npy")))
    places = np.flatnonzero(index == bucket)
    if len(places) == 0:
        return None
    reader = pa.ipc.open_file(storage.open_input(f"{address}.arrow"))
    return pa.Table.from_batches([reader.get_batch(int(place)) for place in places])


def write_rows(folder: str, key: str, name: str, rows: pa.Table) -> None:
    """Write rows as `<folder>/<key>/<name>.arrow`."""
    with _temporary_folder(folder) as temporary:
        path = temporary / "rows.arrow"
        with pa.ipc.new_file(str(path), rows.schema) as writer:
            writer.write_table(rows)
        _put(path, storage.join(folder, key, f"{name}.arrow"))


def read_rows_of(folder: str, key: str, name: str) -> pa.Table:
    """Read rows that `write_rows` wrote, through a memory map where they are local."""
    address = storage.join(folder, key, f"{name}.arrow")
    return pa.ipc.open_file(storage.open_input(address)).read_all()


def kept(
    folder: str,
    work: str,
    kind: type[Made],
    files: Callable[[Made], Sequence[str]],
    make: Callable[[], Made],
) -> Made:
    """Give what a piece of work gave before if its files are whole still, or do it now.

    `files` names what it writes, relative to the folder; some may not be written. In an object
    store every preparation has a folder of its own, and nothing is there before.
    """
    if storage.local_path(folder) is None:
        return make()
    address = storage.join(folder, "done", f"{work}.json")
    try:
        note = Note.model_validate_json(storage.read_bytes(address))
        if all(_hash(storage.join(folder, file.name)) == file.hash for file in note.files):
            return kind.model_validate_json(note.made)
    except (NotFoundError, ValidationError):
        pass
    made = make()
    hashes = {name: _hash(storage.join(folder, name)) for name in files(made)}
    note = Note(
        made=made.model_dump_json(),
        files=tuple(File(name=name, hash=found) for name, found in hashes.items() if found),
    )
    storage.write_atomically(address, note.model_dump_json().encode())
    return made


def _hash(address: str) -> str:
    path = storage.local_path(address)
    return storage.file_hash(path) if path is not None and path.is_file() else ""


@contextmanager
def _temporary_folder(folder: str) -> Iterator[Path]:
    """Give a folder to write in: on the same disk where the folder is local."""
    local = storage.local_path(folder)
    try:
        if local is not None:
            local = local / "tmp"
            local.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=local) as temporary:
            yield Path(temporary)
    except OSError as error:
        raise StorageError(f"{folder} could not be written: {reason_of(error)}") from error


def _put(path: Path, address: str) -> None:
    """Move a finished file to its place, at once."""
    target = storage.local_path(address)
    if target is None:
        storage.upload(path, address)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
