"""Delimited files: what Arrow reads is what Python's strict reader reads, whatever the bytes."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from trainers.data import delimited
from trainers.data.cells import Asked
from trainers.data.columns import MAX_ROWS
from trainers.data.delimited import read_delimited, read_header

HEADER = ["text", "label"]
COLUMNS = [Asked(name, "text") for name in HEADER]
cells = st.text(st.characters(codec="utf-8"), max_size=9)
rows = st.lists(st.tuples(cells, cells), min_size=1, max_size=9)
pieces = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", " ", "\u00fc", "a,b\n", '"x",y\n']),
    max_size=30,
).map("".join)


@contextmanager
def small_reads(size: int) -> Iterator[None]:
    """Read so few bytes at a time that rows and quotes lie across pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "READ_BYTES", size)
        yield


def read(path: Path, delimiter: str = ",", **options: str) -> list[tuple[str, ...]]:
    tables = list(read_delimited(path, "rows", delimiter, COLUMNS, **options))
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


@settings(deadline=None)
@given(rows, st.sampled_from(",\t"), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_what_python_writes_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, all_quoted: bool, end: str
) -> None:
    # Without quotes around all cells, Python's writer leaves a lone return unquoted, and then its
    # own reader takes it for the end of the row.
    unwritable = "\0" if all_quoted else "\0\r"
    rows = [row for row in rows if not set(unwritable) & set("".join(row))]
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        with path.open("w", newline="", encoding="utf-8-sig") as stream:
            writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)
            writer.writerows([HEADER, *rows])
        assert read(path, delimiter) == rows
        with small_reads(5):
            assert read(path, delimiter) == rows


@settings(deadline=None)
@given(pieces, st.integers(1, 40))
def test_any_text_is_read_as_pythons_strict_reader_reads_it(text: str, size: int) -> None:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        expected = [tuple(row) for row in reader if row]
    except csv.Error:
        expected = None
    if expected is not None and any(len(row) != 2 for row in expected):
        expected = None
    with TemporaryDirectory() as folder, small_reads(size):
        path = Path(folder, "rows")
        path.write_bytes(b"text,label\n" + text.encode())
        if expected is None:
            with pytest.raises(DataError, match="rows line"):
                read(path)
        else:
            assert read(path) == expected


def test_regular_files_are_read_by_arrow_and_bare_quotes_by_python(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('text,label\n"a, ""b""\n",x\n' + "c,d\n" * 5 + '5" pipe,e\n"f",g\n')
    with small_reads(16):
        assert read(path) == [('a, "b"\n', "x"), *[("c", "d")] * 5, ('5" pipe', "e"), ("f", "g")]


def test_blocks_are_bounded_and_text(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("other,label,text\n" + "1,02,NA\n" * (MAX_ROWS + 1))
    tables = list(read_delimited(path, "rows", ",", COLUMNS))
    assert [table.num_rows for table in tables] == [MAX_ROWS, 1]
    assert tables[1].to_pylist() == [{"text": "NA", "label": "02"}]
    assert tables[0].schema == pa.schema([("text", pa.string()), ("label", pa.string())])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,label\na,b\n\na,b,c\n", r"rows line 4 \(row 2\) has 3 cells where the header has 2"),
        ('text,label\n"a\nb",c\nx\n', r"rows line 4 \(row 2\) has 1 cells"),
        ('text,label\n"a" b,c\n', r"rows line 2: ',' expected after '\"'. Quote"),
        ('text,label\n"a,b\n', r"rows line 2: unexpected end of data"),
        ("text,label\na,b\nna\xefve,b\n", r"rows line 3 is not UTF-8 \(byte 0xef\), though"),
        ("text,label,text\na,b,c\n", r"column text more than once \(columns 1, 3\). Give each its"),
        ("txt,label\na,b\n", r"rows has no column text. Nearest: txt"),
        ("PAR1\0\0", "rows is a parquet file, not text"),
        ("text,label\na,b\0\n", "rows line 2 holds a zero byte"),
        ("\xff\xfet\0", "rows begins like UTF-16. Set encoding"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=problem):
        read(path)
    with small_reads(7), pytest.raises(DataError, match=problem):
        read(path)


def test_unneeded_columns_may_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("x,text,x,label\n1,a,2,b\n")
    assert read(path) == [("a", "b")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_asked_for(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes("text,label\nna\u00efve,\u00fc\n".encode(encoding))
    assert read(path, encoding=encoding) == [("na\u00efve", "\u00fc")]


def test_bytes_that_are_not_in_the_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"text,label\na,b\n\x81,c\n")
    with pytest.raises(DataError, match=r"rows near line 3 is not cp1252 .*Set encoding"):
        read(path, encoding="cp1252")


def test_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('"a\nb",c\r\n1,2\r\n')
    assert read_header(path, "rows", ",") == ["a\nb", "c"]
    path.write_bytes(b"")
    assert read_header(path, "rows", ",") == []
