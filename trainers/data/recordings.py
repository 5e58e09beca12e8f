"""What a frozen prefix of the model gives for the rows of a lane, kept on the node's own disk.

One Arrow file per lane, so that the node that owns the lane owns it, written once for each key and
read through a memory map. Which modules are the prefix and what the key is, others say.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from configs.errors import StorageError
from trainers import storage
from trainers.belongings import RECORDINGS, delete_ours
from trainers.data.shard_cache import node_folder

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Sizes = np.ndarray[tuple[int], np.dtype[np.int32]]
ARROW = {torch.float32: pa.float32(), torch.bfloat16: pa.uint16(), torch.float16: pa.uint16()}
"""Arrow has no bfloat16: half precision is kept as its bits."""
NUMPY = {torch.float32: np.float32, torch.bfloat16: np.uint16, torch.float16: np.uint16}
CHUNK_BYTES = 64 * 2**20
CHUNK_ROWS = 4096


@dataclass(frozen=True)
class Shape:
    """What is kept of a row."""

    kept: str
    """`all` tokens, the `first`, or the `last` that is not padding."""
    by_token: bool
    """Whether the second axis of what the prefix gives counts tokens."""
    tail: tuple[int, ...]
    """Shape of what is kept of one token, or of a row where tokens are not counted."""
    dtype: torch.dtype

    def num_bytes(self, rows: int, tokens: int) -> int:
        """Say how many bytes so many rows with so many tokens take."""
        units = tokens if self.by_token and self.kept == "all" else rows
        return units * int(np.prod(self.tail)) * self.dtype.itemsize

    def counts(self, lengths: Sizes) -> Sizes:
        """Give the number of kept tokens of each row."""
        return lengths if self.by_token and self.kept == "all" else np.ones_like(lengths)

    def starts(self, lengths: Sizes) -> Sizes:
        """Give the first kept token of each row."""
        return lengths - 1 if self.kept == "last" else np.zeros_like(lengths)

    def blank(self, width: int, num_rows: int = 1) -> torch.Tensor:
        """Give rows of 0 with `width` tokens each."""
        tokens = (width,) if self.by_token else ()
        return torch.zeros((num_rows, *tokens, *self.tail), dtype=self.dtype)


def recordings_folder() -> Path:
    """Return the folder for the recordings of one person on a node; who writes makes it."""
    folder = node_folder()
    return folder.with_name(f"{folder.name}-recordings")


def lane_file(folder: Path, split: str, rows: tuple[int, int]) -> Path:
    """Name the file of a lane's rows, from the first number up to the second."""
    return folder / f"{split}-{rows[0]:012d}-{rows[1]:012d}.arrow"


class Recording:
    """A lane's rows, opened; may be read by several threads at once."""

    def __init__(self, path: Path, first: int, shape: Shape) -> None:
        """Open a file that `is_whole`; `first` is the number of its first row."""
        self.shape = shape
        self._first = first
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._values, self._offsets, ends = [], [], [0]
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            column = batch.column(0)
            values = column.values.to_numpy().reshape(-1, *shape.tail)
            self._values.append(values)
            self._offsets.append(column.offsets.to_numpy() // max(1, int(np.prod(shape.tail))))
            ends.append(ends[-1] + batch.num_rows)
        self._ends = np.asarray(ends)

    def read(self, rows: Rows, lengths: Sizes, width: int) -> torch.Tensor:
        """Give what the prefix gave for rows of these lengths, in tokens, padded to `width` with 0.

        Returns (rows, width, ...) where tokens are counted and (rows, ...) elsewhere.
        """
        shape = self.shape
        axes = (len(rows), width) if shape.by_token else (len(rows),)
        padded = np.zeros((*axes, *shape.tail), NUMPY[shape.dtype])
        places = rows - self._first
        batches = np.searchsorted(self._ends, places, side="right") - 1
        within = (places - self._ends[batches]).tolist()
        starts = shape.starts(lengths).tolist()
        for row, (batch, place) in enumerate(zip(batches.tolist(), within, strict=True)):
            begin, end = self._offsets[batch][place : place + 2].tolist()
            if shape.by_token:
                first = starts[row]
                padded[row, first : first + end - begin] = self._values[batch][begin:end]
            else:
                padded[row] = self._values[batch][begin]
        return torch.from_numpy(padded).view(shape.dtype)


class Writer:
    """Writes one lane's file, which appears when it is whole: `finish` or `abandon` it."""

    def __init__(self, path: Path, shape: Shape) -> None:
        """Begin a file beside its place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".recording-")
        os.close(handle)
        self._path, self._temporary, self._shape = path, Path(name), shape
        self._type = pa.large_list(ARROW[shape.dtype])
        self._writer = pa.ipc.new_file(name, pa.schema([("values", self._type)]))

    def write(self, rows: list[torch.Tensor]) -> None:
        """Add rows in their order; each is (kept tokens, ...) or, without tokens, (1, ...)."""
        counts = np.array([row.numel() for row in rows], np.int64)
        flat = torch.cat([row.reshape(-1) for row in rows])
        if self._shape.dtype != torch.float32:
            flat = flat.view(torch.uint16)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64())
        values = pa.array(flat.numpy(), self._type.value_type)
        column = pa.LargeListArray.from_arrays(offsets, values)
        self._writer.write_batch(pa.record_batch([column], names=["values"]))

    def finish(self) -> None:
        """Put the file in its place; raises OSError where the disk does not take it."""
        try:
            self._writer.close()
            storage.sync(self._temporary)
            self._temporary.rename(self._path)
            _seal(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


def chunks(first: int, stop: int, bytes_per_row: float) -> Iterator[tuple[int, int]]:
    """Cut a lane into stretches of rows that fit into memory, whatever a row takes."""
    size = max(1, min(CHUNK_ROWS, int(CHUNK_BYTES / max(1.0, bytes_per_row))))
    for begin in range(first, stop, size):
        yield begin, min(stop, begin + size)


def is_whole(path: Path) -> bool:
    """Say whether a lane's file is there with the bytes that were written."""
    seal = path.with_suffix(".json")
    if not (path.is_file() and seal.is_file()):
        return False
    try:
        told: dict[str, Any] = json.loads(seal.read_text())
        num_bytes, digest = told["num_bytes"], told["hash"]
        return bool(path.stat().st_size == num_bytes and storage.file_hash(path) == digest)
    except (OSError, ValueError, KeyError):
        return False


def delete_others(folder: Path, max_bytes: int) -> None:
    """Delete the oldest other folders of recordings beside this one, down to so many bytes."""
    found = []
    for other in folder.parent.iterdir() if folder.parent.is_dir() else ():
        # Another process may delete it meanwhile.
        with suppress(OSError):
            num_bytes = sum(file.stat().st_size for file in other.iterdir())
            found.append((other.stat().st_mtime, other, num_bytes))
    total = sum(num_bytes for _, _, num_bytes in found)
    for _, other, num_bytes in sorted(found):
        if total > max_bytes and other != folder:
            with suppress(StorageError):
                delete_ours(str(other), RECORDINGS)
            total -= num_bytes


def _seal(path: Path) -> None:
    """Write down what the file must be; without it the file is nothing."""
    told = {"num_bytes": path.stat().st_size, "hash": storage.file_hash(path)}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".seal-")
    with os.fdopen(handle, "w") as stream:
        json.dump(told, stream)
    os.replace(name, path.with_suffix(".json"))
