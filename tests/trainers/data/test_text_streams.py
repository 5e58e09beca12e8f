"""Text streams: every compression, cut files, lines longer than a piece."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from configs.errors import DataError
from trainers.data.text_streams import (
    READ_BYTES,
    check_utf8,
    open_utf8,
    read_after,
    read_pieces,
    without_compression,
)

TEXT = "".join(f"line {number}\n" for number in range(9999))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    ".lz4": lambda data: packed(data, "lz4"),
}


def packed(data: bytes, kind: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, kind) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def read(path: Path, encoding: str = "utf-8") -> bytes:
    with open_utf8(path, "rows", encoding) as reads:
        return b"".join(iter(lambda: reads(1000), b""))


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files_are_unpacked_and_cut_ones_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.csv{suffix}"
    content = PACKERS[suffix](TEXT.encode())
    path.write_bytes(content)
    assert read(path) == TEXT.encode()
    path.write_bytes(content[:-20])
    with pytest.raises((OSError, EOFError, lzma.LZMAError)):
        read(path)
    assert without_compression(path.name) == "rows.csv"


def test_a_mark_at_the_beginning_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for encoding, given in [("utf-8", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-8-sig", "utf-8")]:
        path.write_bytes("\u00fc\n".encode(given))
        assert read(path, encoding) == "\u00fc\n".encode()


def test_pieces_are_whole_lines() -> None:
    data = b"a\n" * READ_BYTES + b"x" * (3 * READ_BYTES) + b"\nlast"
    place = 0

    def take(size: int) -> bytes:
        nonlocal place
        place += size
        return data[place - size : place]

    pieces = list(read_pieces(take, "a.jsonl"))
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert pieces[-1] == b"last"


def test_bytes_at_hand_come_first() -> None:
    rest = [b"", b"st"]
    read = read_after(b"fir", lambda size: rest.pop())
    assert b"".join(iter(lambda: read(2), b"")) == b"first"


def test_wrong_bytes_are_named_with_their_line() -> None:
    check_utf8("\u00fc\n".encode(), "rows", 0)
    with pytest.raises(DataError, match=r"rows line 12 is not UTF-8 \(byte 0xfc\), though the"):
        check_utf8(b"a\n\xfc\n", "rows", 10)
    with pytest.raises(DataError, match=r"rows line 1 is not UTF-8 \(byte 0xfc\), and no line"):
        check_utf8(b"\xfc\n", "rows", 0)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PAR1xx", "a parquet file"), (b"\x1f\x8b\x08", "gzip"), (b"\x89PNG\r\n", "an image")],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"rows is .*{kind}, not text"):
        read(path)
