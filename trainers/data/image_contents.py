"""What is in the image files that rows name, as hashes; what the images show is the task's to see.

A row with an image is known by the image's bytes: wherever the file lies, and whether a row names
it or carries it, the same picture is never in two splits.
"""

import base64
import binascii
from collections.abc import Callable
from functools import partial

import pyarrow as pa

from configs.errors import DataError, NotFoundError
from configs.task_columns import Columns
from trainers import storage
from trainers.data.rows import read_rows
from trainers.data.sources import Source, hash_source

DATA = "data:"


def content_hashes(cells: pa.Array, name: Callable[[int], str]) -> pa.Array:
    """Give the hash of each image's bytes; `name` gives the place of a row.

    Raises DataError, naming the row, for a file that is not there.
    """
    hashes = (_hash(cell, partial(name, row)) for row, cell in enumerate(cells.to_pylist()))
    return pa.array(hashes, pa.string())


def hash_with_images(source: Source, columns: Columns) -> Source:
    """Read a source once, as `hash_source` does, and the image files that its rows name."""
    hashed = hash_source(source)
    images = tuple(column for column in columns.inputs if column.kind == "image")
    if not images or source.format == "images":
        return hashed
    digests, first_row = [], 1
    for block in read_rows(hashed, Columns(images, None)):
        for column in images:
            for row, cell in enumerate(block[column.name].to_pylist(), first_row):
                if cell and not cell.startswith(DATA):
                    digests.append(_hash(cell, partial("{} row {}".format, source.shown, row)))
        first_row += block.num_rows
    digest = storage.bytes_hash("\n".join(digests).encode()) if digests else ""
    return hashed.model_copy(update={"image_hash": digest})


def _hash(cell: str, place: Callable[[], str]) -> str:
    try:
        if cell.startswith(DATA):
            return storage.bytes_hash(base64.b64decode(cell.partition(",")[2], validate=True))
        path = storage.local_path(cell)
        if path is not None:
            return storage.file_hash(path)
        return storage.bytes_hash(storage.read_bytes(cell))
    except (NotFoundError, OSError) as error:
        problem = "does not exist" if isinstance(error, NotFoundError) else error.strerror
        raise DataError(
            f"{place()}: the image {cell} cannot be read: {problem}. Check the address, as the "
            "machines that prepare the data see it"
        ) from error
    except binascii.Error as error:
        raise DataError(
            f"{place()}: the image's data: address is no base64 ({error}). Write it again"
        ) from error
