"""Text files as UTF-8 bytes: decompressed, decoded, refused where they are no text.

What stands in the lines is read elsewhere.
"""

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from configs.errors import DataError

READ_BYTES = 8 * 2**20
MAX_ROW_BYTES = 64 * 2**20
"""Most bytes of a row, unpacked: a small file may unpack to more than a machine holds."""
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
NEWLINE = b"\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAGIC = {
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
    b"SQLite format 3\x00": "an SQLite database",
}

Read = Callable[[int], bytes]
"""Reads at most so many bytes of UTF-8, none at the end."""


def without_compression(name: str) -> str:
    """Give a file's name without the suffix that tells its compression."""
    return next((name[: -len(end)] for end in COMPRESSED if name.lower().endswith(end)), name)


@contextmanager
def open_utf8(path: Path, address: str, encoding: str) -> Iterator[Read]:
    """Open a text file, through its compression; gives what reads it as bytes of UTF-8.

    A byte order mark is left out. Bytes given for UTF-8 are checked by `check_utf8`, those of other
    encodings while they are read. Raises DataError for a file that is no text.
    """
    with open_binary(path) as stream:
        first = stream.read(READ_BYTES)
        if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
            yield _Decoder(stream, address, encoding, first).read
            return
        _check_text(address, first)
        yield read_after(first.removeprefix(BYTE_ORDER_MARK), stream.read)


def read_pieces(read: Read, address: str) -> Iterator[bytes]:
    """Yield the bytes of a stream in large pieces of whole lines; the last may lack its end.

    Raises DataError for a line that is longer than any row.
    """
    held, size, num_lines = b"", READ_BYTES, 0
    while more := read(size):
        held += more
        end = held.rfind(b"\n") + 1
        refuse_long_row(len(held) - end, address, f"line {num_lines + held.count(NEWLINE) + 1}")
        if end:
            num_lines += held.count(NEWLINE)
            yield held[:end]
        # A line that is longer: read as much again, not a bit at a time.
        held, size = held[end:], READ_BYTES if end else max(READ_BYTES, len(held))
    if held:
        yield held


def refuse_long_row(num_bytes: int, address: str, place: str) -> None:
    """Raise DataError for a row that is longer than any may be."""
    if num_bytes > MAX_ROW_BYTES:
        raise DataError(
            f"{address} {place} is longer than {MAX_ROW_BYTES // 2**20} MiB, and so no row. Write "
            "rows one a line and close every quote"
        )


def read_after(first: bytes, read: Read) -> Read:
    """Give what reads bytes that are at hand first, then those of a stream."""
    held = [first] if first else []
    return lambda size: held.pop() if held else read(size)


def check_utf8(piece: bytes, address: str, lines_before: int) -> None:
    """Raise DataError naming the first line of a piece that is not UTF-8."""
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(address, lines_before, error) from error


def not_utf8(address: str, lines_before: int, error: UnicodeDecodeError) -> DataError:
    """Give the sentence about bytes that are not UTF-8, so many lines into a file."""
    line = lines_before + error.object.count(b"\n", 0, error.start) + 1
    mixed = "though the lines before it are" if line > 1 else "and no line before it is"
    return DataError(
        f"{address} line {line} is not UTF-8 (byte 0x{error.object[error.start]:02x}), {mixed}. "
        "Save the whole file as UTF-8, or set encoding for it, such as cp1252"
    )


def count_lines(piece: bytes) -> int:
    """Count the line ends of a piece."""
    return piece.count(b"\n") or piece.count(b"\r")


@contextmanager
def open_binary(path: Path) -> Iterator[Any]:
    """Open a file for reading its bytes, through its compression."""
    suffix = path.suffix.lower()
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if suffix in (".zst", ".lz4"):
        kind = {".zst": "zstd", ".lz4": "lz4"}[suffix]
        with pa.input_stream(str(path), compression=kind) as stream:
            yield stream
    else:
        with openers.get(suffix, open)(path, "rb") as stream:
            yield stream


def _check_text(address: str, first: bytes) -> None:
    for magic, kind in MAGIC.items():
        if first.startswith(magic):
            raise DataError(f"{address} is {kind}, not text. Correct its name or its format")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{address} begins like UTF-16. Set encoding: utf-16 for it")
    place = first.find(b"\0")
    if place >= 0:
        line = first.count(b"\n", 0, place) + 1
        raise DataError(
            f"{address} line {line} holds a zero byte: it is no text, or in UTF-16 or UTF-32. "
            "Check the file, or set encoding for it"
        )


class _Decoder:
    """Turns a stream of another encoding into UTF-8 and knows which line it reads."""

    def __init__(self, stream: Any, address: str, encoding: str, first: bytes) -> None:
        self._stream, self._address, self._encoding = stream, address, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._held, self._lines, self._done = first, 0, False

    def read(self, size: int) -> bytes:
        while not self._done:
            data, self._held = self._held or self._stream.read(size), b""
            self._done = not data
            try:
                text = self._decoder.decode(data, final=self._done)
            except UnicodeError as error:
                raise DataError(self._problem(data, error)) from error
            if text:
                self._lines += text.count("\n")
                return text.removeprefix("\ufeff").encode()
        return b""

    def _problem(self, data: bytes, error: UnicodeError) -> str:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = self._lines + data.count(b"\n", 0, start) + 1
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        return (
            f"{self._address} near line {line} is not {self._encoding} ({reason}). Set encoding to "
            "what the whole file is in, or save it as UTF-8"
        )
