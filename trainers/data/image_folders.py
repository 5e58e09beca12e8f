"""Rows of a folder of images by class; what the images show is the task's to see."""

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
from PIL import Image

from configs.errors import DataError
from trainers import listing, storage
from trainers.data.cells import Asked
from trainers.data.columns import check_columns, text_columns

COLUMNS = ("image", "label")
MAX_ROWS = 16_384
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


def find_classes(folder: str) -> list[str]:
    """Give the addresses of the folders of a folder that hold images, one a class, sorted."""
    return [child for child in listing.list_folders(folder) if _images(child)]


def read_images(folder: str, columns: Sequence[Asked]) -> Iterator[pa.Table]:
    """Yield address and class of the images of one class, at any depth below its folder.

    Raises DataError naming an image that is empty or begins like none.
    """
    names = [each.name for each in columns]
    check_columns(folder, names, COLUMNS)
    label = folder.rstrip("/").rpartition("/")[2]
    images = _images(folder)
    for start in range(0, len(images), MAX_ROWS):
        block = images[start : start + MAX_ROWS]
        for number, file in enumerate(block, start + 1):
            _check_image(file, f"{file.address} (row {number} of {folder})")
        cells = {"image": [file.address for file in block], "label": [label] * len(block)}
        table = pa.table([pa.array(cells[name], pa.string()) for name in names], names)
        yield text_columns(table, columns, folder, start + 1)


def hash_images(folder: str) -> tuple[str, int]:
    """Hash what images of a class there are; gives the bytes of their rows too."""
    lines = [f"{file.address} {file.num_bytes} {_content(file)}" for file in _images(folder)]
    text = "\n".join(lines).encode()
    return storage.bytes_hash(text), len(text)


def _images(folder: str) -> list[listing.Found]:
    files = listing.list_files(folder)
    return [file for file in files if file.address.lower().endswith(SUFFIXES)]


def _content(file: listing.Found) -> str:
    path = storage.local_path(file.address)
    if path is not None:
        return storage.file_hash(path)
    return storage.bytes_hash(storage.read_bytes(file.address))


def _check_image(file: listing.Found, place: str) -> None:
    """Look at an image's first bytes, and at the checksums of those formats that have them."""
    path = storage.local_path(file.address)
    content = path if path is not None else io.BytesIO(storage.read_bytes(file.address))
    try:
        with Image.open(content) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"column image, {place}: no image can be read there ({problem}). Replace or remove it"
        ) from error
