"""Whole rows: every column as it stands, with the texts that a task reads, from every format."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from configs.errors import DataError
from configs.task_columns import Column
from tests.trainers.data.kinds import WRITERS
from trainers.data.sources import find_input
from trainers.data.whole_rows import BAD, CELL, WHERE, read_whole

TEXT = [Column("text", "text")]
ROWS: list[dict[str, Any]] = [
    {"n": 7, "text": "a, b", "tokens": ["x", "y"]},
    {"n": 8, "text": "c", "tokens": ["z"]},
]


def read(path: Path | str, inputs: list[Column], **options: Any) -> list[dict[str, Any]]:
    tables = [t for source in find_input(str(path)) for t in read_whole(source, inputs, **options)]
    return pa.concat_tables(tables).to_pylist()


@pytest.mark.parametrize("form", WRITERS)
def test_all_columns_stay_and_cells_stand_beside_them(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"in.{form}"
    WRITERS[form](path, ROWS)
    found = read(path, [*TEXT, Column("tokens", "words")])
    line = 1 if form == "jsonl" else 0
    place = "line" if line else "row"
    assert [row[WHERE] for row in found] == [f"{path} {place} {n}" for n in (1, 2 + line)]
    assert [row[f"{CELL}text"] for row in found] == ["a, b", "c"]
    assert [row[f"{CELL}tokens"] for row in found] == ['["x","y"]', '["z"]']
    own = [{name: row[name] for name in ROWS[0]} for row in found]
    if form in ("csv", "tsv"):
        own = [{**row, "n": int(row["n"]), "tokens": json.loads(row["tokens"])} for row in own]
    assert own == ROWS


def test_csv_cells_stay_text_and_keys_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"text,n\n1,007\n,NA\n"))
    assert [(row["text"], row["n"]) for row in read(path, TEXT)] == [("1", "007"), ("", "NA")]
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"text": "x"}\n{"text": "y", "n": 2}\n{"text": "z", "n": "three"}\n')
    assert [row["n"] for row in read(lines, TEXT)] == [None, "2", "three"]


def test_several_files_come_in_their_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_text(f"text\n{name}1\n{name}2\n")
    found = [row["text"] for row in read(tmp_path / "*.csv", TEXT)]
    assert found == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "1.png")
    [row] = read(tmp_path, [Column("image", "image")])
    assert (row["image"], row["label"]) == (f"{tmp_path}/cat/1.png", "cat")
    assert row[f"{CELL}image"] == row["image"]


def test_cells_that_may_be_empty_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "x", "w": null}\n{"text": null, "w": "a"}\n')
    empty = [Column("text", "text", may_be_empty=True), Column("w", "words", may_be_empty=True)]
    found = [(row[f"{CELL}text"], row[f"{CELL}w"]) for row in read(path, empty)]
    assert found == [("x", "[]"), ("", '["a"]')]


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("in.csv", b"text\na,b\n", r"in.csv line 2 \(row 1\) has 2 cells where the header has 1"),
        ("in.csv", b"\xff\xfe", r"in.csv begins like UTF-16"),
        ("in.csv", b"txt\na\n", r"in.csv has no column text. Nearest: txt"),
        ("in.csv", b"text,said\na,b\n", r"in.csv has a column said already. Rename or drop it"),
        ("in.csv", b"text\n", r"in.csv has no rows. Fill it"),
        ("in.json", b"{", r"in.json line 1 is not JSON"),
        ("in.json", b"[1]", r"in.json row 1 is no JSON object"),
        ("in.jsonl", b'{"text": "a"}\nx\n', r"in.jsonl line 2 is not JSON"),
        ("in.jsonl", b"", r"in.jsonl has no rows"),
        ("in.csv.gz", b"no gzip", r"in.csv.gz cannot be read as csv"),
        ("in.parquet", b"PAR1", r"in.parquet cannot be read as parquet"),
        ("in.txt", b"a", r"in.txt: its name does not tell its format"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=problem):
        read(tmp_path / name, TEXT, added=("said",))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^{tmp_path}/in.csv does not exist. Check the path"):
        read(tmp_path / "in.csv", TEXT)


def test_cells_that_cannot_be_read_are_said_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n{"text": null}\n{"text": 5}\n')
    found = read(path, TEXT)
    assert [row[f"{CELL}text"] for row in found] == ["a", None, None]
    empty, integer = (
        "column text is empty. Fill it in",
        f"{path} line 3: column text is an integer (5)",
    )
    assert found[0][BAD] is None
    assert found[1][BAD].startswith(empty)
    assert found[2][BAD].startswith(integer)
    table = pa.table({"n": ["1", "x", None, "4"]})
    pq.write_table(table, tmp_path / "in.parquet")
    found = read(tmp_path / "in.parquet", [Column("n", "number")])
    assert [row[BAD] is None for row in found] == [True, False, False, True]
    assert found[1][BAD].startswith(f"{tmp_path}/in.parquet row 2: column n is")
