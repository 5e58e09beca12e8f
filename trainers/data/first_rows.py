"""Read the first rows of a source on this machine, whatever its size; all rows are read by rows.py.

A text file is cut after its first megabyte, unpacked, and given to the reader of its format. What
is wrong behind that, or may only look so because of the cut, is left for preparation to find.
"""

import codecs
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from configs.errors import DataError
from configs.task_columns import Columns
from trainers.data.arrow_files import read_arrow, read_schema
from trainers.data.cells import Asked
from trainers.data.columns import check_columns, column_array
from trainers.data.delimited import read_delimited
from trainers.data.image_folders import COLUMNS as OF_IMAGES
from trainers.data.json_rows import read_json, read_json_lines
from trainers.data.json_values import read_values
from trainers.data.rows import DAMAGE, damaged, form_of, list_asked
from trainers.data.sources import Source
from trainers.data.text_pairs import read_text_pairs
from trainers.data.text_streams import open_binary

MOST_BYTES = 2**20
MOST_ROWS = 1_000
"""Rows of a JSON list that are looked at."""
FEW_BYTES = 1_000
"""Size up to which a file without rows among the first has none, packed as it may be."""
SMALL_BYTES = 8 * 2**20
"""Size up to which rows of parquet and Arrow files are read; of others only the types are seen."""

Reader = Callable[[Path], Iterator[pa.Table]]


def read_first_rows(source: Source, columns: Columns, extra: str | None = None) -> pa.Table | None:
    """Read first rows of a local source as text, in the columns asked for; None for unknown ones.

    Raises DataError for what preparation is sure to refuse: an empty file, another format, a column
    that is missing, a value that its column cannot hold.
    """
    asked = list_asked(source, columns, extra)
    path = Path(source.address.removeprefix("file://"))
    if source.format == "images":
        check_columns(source.address, [each.name for each in asked], OF_IMAGES)
        return None
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{source.address} is empty. Fill it, or leave it out of the data")
        with tempfile.TemporaryDirectory(prefix="thaw-look-") as folder:
            rows = _read(path, source, asked, Path(folder))
    except PermissionError:
        return None  # whoever prepares it may read it
    except DAMAGE as error:
        raise damaged(source, 0, error) from error
    if rows is not None and rows.num_rows == 0 and path.stat().st_size <= FEW_BYTES:
        raise DataError(f"{source.shown} has no rows. Fill it, or leave it out of the data")
    return rows if rows is not None and rows.num_rows else None


def _read(path: Path, source: Source, asked: Sequence[Asked], folder: Path) -> pa.Table | None:
    address, encoding = source.address, source.encoding
    if source.format in ("parquet", "arrow"):
        return _of_arrow(path, source, asked)
    if source.format == "text":
        return _of_pair(path, source, asked, folder)
    if source.format == "json":
        return _of_json(path, source, asked, folder)
    if source.format == "jsonl":
        return _of_lines(
            path, source, folder, lambda cut: read_json_lines(cut, address, asked, encoding)
        )

    def delimited(cut: Path) -> Iterator[pa.Table]:
        form = form_of(cut, source, [each.name for each in asked])
        return read_delimited(cut, address, form.delimiter, asked, encoding, quotes=form.quotes)

    return _of_lines(path, source, folder, delimited)


def _of_arrow(path: Path, source: Source, asked: Sequence[Asked]) -> pa.Table | None:
    if path.stat().st_size <= SMALL_BYTES:
        rows = read_arrow(path, source.address, source.format, asked)
        return next(rows, pa.table({each.name: pa.array([], pa.string()) for each in asked}))
    schema = read_schema(path, source.address, source.format, [each.name for each in asked])
    for each in asked:
        column_array(pa.array([], schema.field(each.name).type), each, source.address, 1)
    return None


def _of_lines(path: Path, source: Source, folder: Path, read: Reader) -> pa.Table | None:
    content, is_whole = _first_bytes(path)
    has_quotes = source.format != "jsonl"
    lines = content if is_whole else _whole_lines(content, source.encoding, has_quotes=has_quotes)
    if lines is None:
        return None
    try:
        return _table(read, folder, lines)
    except DataError as error:
        # A cut may lie inside of quotes; what is wrong with the file is so with half of it, too.
        half = None if is_whole else _whole_lines(lines[: len(lines) // 2], source.encoding)
        if is_whole:
            raise
        told = str(error)
    try:
        return _table(read, folder, half) if half is not None else None
    except DataError as error:
        if str(error) == told:
            raise
        return None


def _of_json(path: Path, source: Source, asked: Sequence[Asked], folder: Path) -> pa.Table | None:
    address, encoding = source.address, source.encoding
    content, is_whole = _first_bytes(path)
    if is_whole:
        return _table(
            lambda cut: read_json(cut, address, asked, encoding, source.field), folder, content
        )
    if source.field is not None:
        return None
    cut = folder / "cut"
    cut.write_bytes(content)
    values = []
    try:
        for _, value in islice(read_values(cut, address, encoding, lines=False), MOST_ROWS):
            values.append(value)
    except DataError:
        if not values:
            return None
    lines = "".join(f"{json.dumps(value)}\n" for value in values).encode()
    return _table(lambda cut: read_json_lines(cut, address, asked), folder, lines)


def _of_pair(path: Path, source: Source, asked: Sequence[Asked], folder: Path) -> pa.Table | None:
    assert source.pair is not None, "a text source has a pair"
    both = [_first_bytes(each) for each in (path, Path(source.pair.removeprefix("file://")))]
    sides = [
        content if is_whole else _whole_lines(content, source.encoding)
        for content, is_whole in both
    ]
    if sides[0] is None or sides[1] is None:
        return None
    if not all(is_whole for _, is_whole in both):
        if codecs.lookup(source.encoding).name not in ("utf-8", "utf-8-sig"):
            return None
        split = [side.splitlines(keepends=True) for side in sides if side is not None]
        size = min(map(len, split))
        sides = [b"".join(lines[:size]) for lines in split]
    cuts = (folder / "first", folder / "second")
    for cut, side in zip(cuts, sides, strict=True):
        cut.write_bytes(side or b"")
    names = (source.address, source.pair)
    return _joined(read_text_pairs(cuts, names, asked, source.encoding))


def _table(read: Reader, folder: Path, content: bytes) -> pa.Table:
    """Let a reader read content that is written to a file for it."""
    cut = folder / "cut"
    cut.write_bytes(content)
    return _joined(read(cut))


def _joined(blocks: Iterator[pa.Table]) -> pa.Table:
    tables = list(blocks)
    return pa.concat_tables(tables) if tables else pa.table({})


def _first_bytes(path: Path) -> tuple[bytes, bool]:
    """Give the first bytes of a file, unpacked, and whether those are all."""
    content = b""
    with open_binary(path) as stream:
        while len(content) <= MOST_BYTES and (more := stream.read(MOST_BYTES + 1 - len(content))):
            content += more
    return content[:MOST_BYTES], len(content) <= MOST_BYTES


def _whole_lines(content: bytes, encoding: str, *, has_quotes: bool = False) -> bytes | None:
    """Leave out the last line, which is cut; None where the first is longer than all of it.

    With quotes, a line ends where as many are closed as were opened.
    """
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig"):
        end = content.rfind(b"\n") + 1
        if has_quotes and content.count(b'"', 0, end) % 2:
            end = content.rfind(b"\n", 0, content.rfind(b'"', 0, end)) + 1
        return content[:end] or None
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content)
        return text[: text.rfind("\n") + 1].encode(encoding) or None
    except UnicodeError:
        return None
