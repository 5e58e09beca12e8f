"""How csv and tsv files are written: found where certain, refused where rows are swallowed."""

import bz2
import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from configs.data_sections import Data
from configs.errors import DataError
from configs.task_columns import Column, Columns
from tests.object_store import ObjectStore
from trainers import storage
from trainers.data.delimited_form import find_form, find_swallowed
from trainers.data.rows import read_rows
from trainers.data.sources import list_sources

COLUMNS = Columns((Column("text", "text"),), Column("label", "label"))
GLUE = 'text\tlabel\na b\tx\n" c d\ty\ne\tx\nf "\ty\ng\tx\n'
"""A quote opens a cell in line 3, which the quote of line 5 would close with two rows inside."""


def read(path: Path | str, **keys: str) -> tuple[list[tuple[str, ...]], Counter[str]]:
    [source] = list_sources(Data.model_validate({"train": str(path), **keys}))
    notes: Counter[str] = Counter()
    table = pa.concat_tables(read_rows(source, COLUMNS, changed=notes))
    return [tuple(row.values()) for row in table.to_pylist()], notes


@pytest.mark.parametrize(
    ("name", "text", "rows", "notes"),
    [
        ("t.tsv", GLUE, 5, ["rows of t.tsv read with quotes as characters (data.quotes: none)"]),
        ("t.tsv", 'text\tlabel\n"a\tx\nb\ty\n', 2, ["quotes as characters"]),
        ("t.tsv", 'text\tlabel\n"a" b\tx\nb\ty\n', 2, ["quotes as characters"]),
        ("t.tsv", 'text\tlabel\n"a\nb"\tx\nb\ty\n', 2, []),
        ("t.csv", 'text,label\n"a, b\nc, d",x\n', 1, []),
        ("t.csv", "text;label\na, b;x\nc;y\n", 2, ["rows of t.csv read with ; between cells"]),
        ("t.csv", "id\ttext\tlabel\n1\ta, b\tx\n", 1, ["rows of t.csv read with tab between"]),
        ("t.tsv", "text,label\na,x\n", 1, ["rows of t.tsv read with , between cells"]),
        ("t.csv", "label|text\nx|a\n", 1, ["rows of t.csv read with | between cells"]),
        ("t.csv", "text,label\na;b,x\n", 1, []),
    ],
)
def test_a_file_is_read_as_it_is_written_and_what_was_found_is_counted(
    tmp_path: Path, name: str, text: str, rows: int, notes: list[str]
) -> None:
    path = tmp_path / name
    path.write_text(text)
    found, told = read(path)
    assert len(found) == rows
    assert list(told.values()) == [rows] * len(notes)
    assert all(note in said for note, said in zip(notes, told, strict=True))


def test_quotes_that_are_characters_stay_in_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(GLUE)
    assert read(path)[0] == [("a b", "x"), ('" c d', "y"), ("e", "x"), ('f "', "y"), ("g", "x")]
    path.write_text('text\tlabel\n"a"\tx\n')
    assert read(path) == ([("a", "x")], Counter())
    assert read(path, quotes="none") == ([('"a"', "x")], Counter())


@pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress])
def test_a_cell_that_swallowed_rows_is_refused_with_its_line(tmp_path: Path, pack: object) -> None:
    ending = {None: "", gzip.compress: ".gz", bz2.compress: ".bz2"}[pack]
    # The quotes of the last row enclose a tab, so that they are not all characters.
    data = (GLUE + '"a\tb"\tx\n').encode()
    path = tmp_path / f"t.tsv{ending}"
    path.write_bytes(pack(data) if callable(pack) else data)
    with pytest.raises(DataError, match=r"t\.tsv.* line 3: a quote opens a cell that goes over"):
        read(path)
    rows, notes = read(path, quotes="double")
    assert rows[1] == (" c d\ty\ne\tx\nf ", "y")
    assert notes == Counter()
    with pytest.raises(DataError, match=r"line 7 \(row 6\) has 3 cells .*Quotes are characters"):
        read(path, quotes="none")


def test_a_bare_quote_elsewhere_does_not_hide_swallowed_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('text\tlabel\n5" x\ty\n\n' + GLUE.partition("\n")[2] + '"a\tb"\tx\n')
    with pytest.raises(DataError, match=r"line 5: a quote opens a cell"):
        read(path)


def test_a_quote_that_never_closes_is_refused_with_the_line_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('text,label\na,x\n"b, c,x\nd\ne\n')
    with pytest.raises(DataError, match=r"line 3: unexpected end of data.*data\.quotes to none"):
        read(path)


def test_remote_files_are_read_likewise(object_store: ObjectStore) -> None:
    address = f"{object_store.make_bucket('delimited')}/t.tsv"
    storage.write_atomically(address, GLUE.encode())
    rows, notes = read(address)
    assert (len(rows), list(notes.values())) == (5, [5])


def test_an_asked_delimiter_is_kept_and_two_that_fit_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text~label\na,b~x\n")
    assert read(path, delimiter="~") == ([("a,b", "x")], Counter())
    with pytest.raises(DataError, match="has no column text"):
        read(path)
    source = (str(path), "csv", "utf-8")
    assert find_form(path, source, None, ["text"]).delimiter == ","


@pytest.mark.parametrize(
    ("piece", "line"),
    [
        (b'a\t"b\nc\td"\ne\tf\n', 0),
        (b'e\tf\na\t"b\nc\td"\n', 1),
        (b'"a\nb"\tc\n', None),
        (b"a\tb\nc\td\n", None),
    ],
)
def test_the_first_line_of_swallowed_rows_is_found(piece: bytes, line: int | None) -> None:
    assert find_swallowed(piece, "\t", 2) == line
