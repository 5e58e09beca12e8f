"""A prepared set at rest: its manifest and its shards; who makes and who orders rows is elsewhere.

Shards are Arrow IPC files (not streams: a stream cut at a batch reads fine with fewer rows) of one
record batch each, read through memory maps. Their bytes are checked before they are used.
"""

import tempfile
import threading
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import DataError, NotFoundError, reason_of
from configs.names import FILE_NAME
from trainers import storage
from trainers.data.shard_cache import DEFAULT_BYTES, Fetch, fetch_within, node_folder, touch

MANIFEST = "manifest.json"
ROW_ID = "row_id"
INPUT_ID = "input_id"
"""Column with the high half of a row's id, by which rows are sorted: the hash of its inputs."""
SOURCE = "source"
"""Column with the place of a row's source among the manifest's."""
MAX_OPEN_SHARDS = 64
ROWS_A_SLICE = 8
"""Rows that stand together, on average, from which on slices are cheaper than a take."""
FROZEN = ConfigDict(frozen=True, extra="forbid")

Stamp = tuple[int, int, int]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Shard(BaseModel):
    """One Arrow file."""

    model_config = FROZEN
    file: str = Field(pattern=FILE_NAME)
    rows: int
    num_bytes: int
    hash: str


class SplitInfo(BaseModel):
    """What one split holds."""

    model_config = FROZEN
    rows: int
    id_sum: str
    """Sum of the low 64 bits of the row ids mod 2^64, as `hex_sum` writes it."""
    shards: tuple[Shard, ...]
    lengths: dict[int, int]
    """Rows by length in tokens."""
    class_counts: tuple[int, ...]
    """How often each label comes, in the order of the label names."""
    source_counts: tuple[int, ...] = ()
    """Rows of each source, in the order of the sources."""


class CleaningReport(BaseModel):
    """What became of the rows of the files: kept rows + duplicates + dropped = rows_in."""

    model_config = FROZEN
    rows_in: int
    rows_in_by_split: dict[SplitName, int]
    """Rows of the files given for each split; shares of the training rows count as train."""
    duplicates: int
    """Training rows dropped because one with the same inputs and target is kept."""
    dropped: dict[str, int]
    """Other rows dropped, by reason."""
    conflicts: int
    """Training rows whose inputs also have another target, whether they were kept or not."""
    changed: dict[str, int] = {}
    """Values changed, by reason."""
    contamination: dict[str, int] = {}
    """Rows of the files given for one split that were found in the files given for another."""
    examples: dict[str, tuple[str, ...]]
    """Some of the rows by reason, `duplicates` and `conflicts` among the reasons."""
    notes: tuple[str, ...] = ()
    """What a person should know of the data, a sentence each."""


class Images(BaseModel):
    """How large images are, in pixels."""

    model_config = FROZEN
    width: int
    """Median of what they were."""
    height: int
    fed_width: int
    """Of all of them, as they are fed."""
    fed_height: int

    def note(self, image_size: int | None) -> str | None:
        """Say that images are brought to another size than most have; None where they are not.

        `image_size` is the size that the recipe asks for, None where it leaves that to the model.
        """
        if (self.width, self.height) == (self.fed_width, self.fed_height):
            return None
        why = " \u00b7 set task.image_size" if image_size is None else " by task.image_size"
        was, fed = f"{self.width} x {self.height}", f"{self.fed_width} x {self.fed_height}"
        return f"images: {was} (median) brought to {fed}{why}"


class Manifest(BaseModel):
    """Everything about a prepared set but its rows."""

    model_config = FROZEN
    version: Literal[1] = 1
    fingerprint: str
    """Hash of everything the prepared rows depend on."""
    task_kind: str
    label_names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """Names of the sources, sorted."""
    splits: dict[SplitName, SplitInfo]
    report: CleaningReport
    max_length: int
    """Most tokens of a row."""
    pad_token_id: int
    numbers: dict[str, int] = {}
    """What batches must know besides the rows, such as the start token of a decoder."""
    tokenizer: str = ""
    """Folder or hub id of the model whose tokenizer was used, with its revision behind an @."""
    images: Images | None = None
    """How large images are; None where rows are no images, and in old sets."""


def hex_sum(row_ids: np.ndarray[tuple[int], np.dtype[np.uint64]], start: str = "0") -> str:
    """Add row ids to a sum mod 2^64 and give it as 16 hexadecimal digits."""
    return f"{(int(start, 16) + int(row_ids.sum(dtype=np.uint64))) % 2**64:016x}"


def load_manifest(data_dir: str) -> Manifest:
    """Read the manifest of a prepared set; raises DataError when it is absent or damaged."""
    address = storage.join(data_dir, MANIFEST)
    try:
        return Manifest.model_validate_json(storage.read_bytes(address))
    except NotFoundError as error:
        raise DataError(f"{data_dir} has no {MANIFEST}. Prepare the data first") from error
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise DataError(f"{address} is damaged ({problem}). Prepare the data again") from error


def write_shard(folder: str, file: str, table: pa.Table) -> Shard:
    """Write a table as one shard, synced to the disk, and describe it."""
    local = storage.local_path(folder)
    if local is None:
        with tempfile.TemporaryDirectory(prefix="thaw-") as temporary:
            shard = write_shard(temporary, file, table)
            storage.upload(Path(temporary, file), storage.join(folder, file))
            return shard
    batches = table.combine_chunks().to_batches()
    assert len(batches) == 1, "a shard is one record batch"
    with pa.OSFile(str(local / file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    storage.sync(local / file)
    num_bytes = (local / file).stat().st_size
    digest = storage.file_hash(local / file)
    return Shard(file=file, rows=table.num_rows, num_bytes=num_bytes, hash=digest)


def open_split(
    data_dir: str,
    manifest: Manifest,
    name: SplitName,
    *,
    verify: bool = True,
    cache_dir: Path | None = None,
    cache_bytes: int = DEFAULT_BYTES,
    fetch: Fetch = storage.download,
) -> "Split":
    """Open a split without touching its shards; raises DataError when the set has no such split.

    A shard is checked when a row of it is first asked for: its size always, its hash with `verify`;
    and again when its size, time or inode is another than it was, before its rows are given.
    Shards that are not on a local path are fetched below `cache_dir` then, which keeps at most
    `cache_bytes`; by default all ranks of a node share one.
    """
    if name not in manifest.splits:
        known = ", ".join(manifest.splits)
        raise DataError(f"the data has no {name} split, only {known}. Set data.{name}")
    cache = (cache_dir or node_folder()) / manifest.fingerprint
    return Split(manifest.splits[name], _Shards(data_dir, verify, cache, cache_bytes, fetch))


class Split:
    """Rows of one split by their numbers; may be read by several threads at once."""

    def __init__(self, info: SplitInfo, shards: "_Shards") -> None:
        self.info = info
        self._shards = shards
        self._ends = np.cumsum([shard.rows for shard in info.shards], dtype=np.int64)

    def read(self, indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
        """Read rows by number, in the order asked for; one chunk per column."""
        if len(indices) == 0:
            return pa.Table.from_batches([self._batch(0)]).slice(0, 0)
        order = np.argsort(indices, kind="stable")
        ascending = indices[order]
        numbers = np.searchsorted(self._ends, ascending, side="right")
        found, starts = np.unique(numbers, return_index=True)
        parts = [
            part
            for number, rows in zip(found.tolist(), np.split(ascending, starts[1:]), strict=True)
            for part in _taken(self._batch(number), rows - self._first(number))
        ]
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        rows = pa.Table.from_batches(parts).combine_chunks().take(pa.array(places))
        for number in found.tolist():
            # The rows are a copy now: what is as it was still has not changed under it.
            self._shards.require_unchanged(self.info.shards[number])
        return rows

    def lengths(self, start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Give the lengths in tokens of the rows from `start` up to `stop`."""
        return np.asarray(self.column("length", start, stop), np.int32)

    def column(self, name: str, start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[Any]]:
        """Give one number a row from `start` up to `stop`, of a column of numbers."""
        parts = []
        while start < stop:
            number = int(np.searchsorted(self._ends, start, side="right"))
            first, end = self._first(number), min(stop, int(self._ends[number]))
            column = self._batch(number).column(name)
            parts.append(column.slice(start - first, end - start).to_numpy())
            start = end
        if len(parts) == 1:
            return np.asarray(parts[0])
        return np.concatenate(parts or [np.zeros(0, np.int32)])

    def _first(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0

    def _batch(self, number: int) -> pa.RecordBatch:
        return self._shards.batch(self.info.shards[number])


def _taken(
    batch: pa.RecordBatch, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[pa.RecordBatch]:
    """Take rows in ascending order: as slices, which cost nothing, where they stand together."""
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
    if len(starts) * ROWS_A_SLICE > len(rows):
        return [batch.take(pa.array(rows))]
    return [
        batch.slice(int(rows[start]), stop - start)
        for start, stop in pairwise([*starts, len(rows)])
    ]


def _stamp(path: Path) -> Stamp | None:
    """Return size, time of the last change and inode of a file; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


class _Shards:
    """The shards of a folder that were used last; checked, and fetched where they are remote."""

    def __init__(
        self, data_dir: str, verify: bool, cache: Path, cache_bytes: int, fetch: Fetch
    ) -> None:
        self._data_dir, self._verify, self._cache = data_dir, verify, cache
        self._cache_bytes, self._fetch = cache_bytes, fetch
        self._open: OrderedDict[str, pa.RecordBatch] = OrderedDict()
        self._good: dict[str, Stamp] = {}
        """How the files were found that have been checked."""
        self._lock = threading.Lock()

    def batch(self, shard: Shard) -> pa.RecordBatch:
        """Give a shard's rows; raises DataError naming the file when it is absent or damaged."""
        with self._lock:
            if shard.file in self._open and self._is_unchanged(shard):
                self._open.move_to_end(shard.file)
                return self._open[shard.file]
            batch = self._open[shard.file] = self._map(self._local(shard), shard)
            if len(self._open) > MAX_OPEN_SHARDS:
                self._open.popitem(last=False)
            return batch

    def require_unchanged(self, shard: Shard) -> None:
        """Raise DataError where a shard has changed since it was mapped, and not for the same."""
        with self._lock:
            if not self._is_unchanged(shard):
                self._open[shard.file] = self._map(self._local(shard), shard)

    def _is_unchanged(self, shard: Shard) -> bool:
        """Return whether a mapped file is the one that was checked.

        One that is gone is: its bytes stay as long as they are mapped.
        """
        found = _stamp(self._path(shard))
        return found is None or found == self._good.get(shard.file)

    def _map(self, path: Path, shard: Shard) -> pa.RecordBatch:
        # Size first: reading a map beyond the end of a cut file would kill the process.
        stamp = _stamp(path)
        problem = self._problem(path, shard)
        if problem is None and stamp is not None:
            try:
                reader = pa.ipc.open_file(pa.memory_map(str(path)))
                batch = reader.get_batch(0)
            except (pa.ArrowInvalid, OSError) as error:
                problem = f"cannot be read ({reason_of(error)})"
            else:
                self._good[shard.file] = stamp
                return batch
        raise DataError(f"{path} {problem}. Delete {self._data_dir} and prepare the data again")

    def _problem(self, path: Path, shard: Shard) -> str | None:
        """Say what is wrong with a file, if anything is."""
        if not path.is_file():
            return "is missing"
        num_bytes = path.stat().st_size
        if num_bytes != shard.num_bytes:
            return f"is damaged: {num_bytes} bytes where the manifest says {shard.num_bytes}"
        unchecked = self._verify and self._good.get(shard.file) != _stamp(path)
        if unchecked and storage.file_hash(path) != shard.hash:
            return "is damaged: its bytes are not those that were prepared"
        return None

    def _path(self, shard: Shard) -> Path:
        folder = storage.local_path(self._data_dir)
        return (self._cache if folder is None else folder) / shard.file

    def _local(self, shard: Shard) -> Path:
        """Return a shard's file, fetched where the set is remote."""
        path = self._path(shard)
        if storage.local_path(self._data_dir) is not None:
            return path
        if self._problem(path, shard) is None:
            touch(path)
        else:
            address = storage.join(self._data_dir, shard.file)
            try:
                fetch_within(self._cache.parent, path, address, self._cache_bytes, self._fetch)
            except NotFoundError as error:
                raise DataError(f"{address} is missing. Prepare the data again") from error
        return path
