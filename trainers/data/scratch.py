"""Rows on their way from one stage of a preparation to the next; prepared rows are the store's."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pyarrow as pa

from configs.errors import StorageError
from trainers import storage


class RowFiles:
    """Files of rows, each `<folder>/<key>/<name>.arrow`, that grow together until it closes."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder, self._file = folder, f"{name}.arrow"
        self._writers: dict[str, pa.ipc.RecordBatchFileWriter] = {}
        self._open = ExitStack()
        self._local = storage.local_path(folder)

    def __enter__(self) -> Self:
        """Open the files; they are made when rows come."""
        if self._local is None:
            self._local = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        return self

    def append(self, key: str, rows: pa.Table) -> None:
        """Add rows to the file of a key; all rows of one file have the same columns."""
        assert self._local is not None, "rows are appended inside the with block"
        try:
            if key not in self._writers:
                path = self._local / key / self._file
                path.parent.mkdir(parents=True, exist_ok=True)
                sink = self._open.enter_context(pa.OSFile(str(path), "wb"))
                self._writers[key] = pa.ipc.new_file(sink, rows.schema)
            self._writers[key].write_table(rows)
        except OSError as error:
            raise StorageError(f"{self._folder} could not be written: {error}") from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the files, and send them off where the folder is remote."""
        with self._open:
            for key, writer in self._writers.items():
                writer.close()
                if kind is None and self._local != storage.local_path(self._folder):
                    address = storage.join(self._folder, key, self._file)
                    storage.upload(Path(str(self._local), key, self._file), address)


def read_row_files(folder: str, key: str) -> dict[str, pa.Table]:
    """Read all files of a key by their names, in a fixed order."""
    names = [each.removesuffix(".arrow") for each in storage.list_names(storage.join(folder, key))]
    names.sort(key=lambda name: (len(name), name))
    return {name: read_row_file(folder, key, name) for name in names}


def read_row_file(folder: str, key: str, name: str) -> pa.Table:
    """Read one file, through a memory map where it is local."""
    address = storage.join(folder, key, f"{name}.arrow")
    path = storage.local_path(address)
    source = pa.memory_map(str(path)) if path is not None else storage.read_bytes(address)
    return pa.ipc.open_file(source).read_all()
