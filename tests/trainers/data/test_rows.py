"""Every format gives the same rows; what is malformed is named by file and line."""

import gzip
import json
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from configs.errors import DataError
from configs.task_columns import Column, Columns
from tests.trainers.data.kinds import WRITERS
from trainers.data.columns import MAX_ROWS
from trainers.data.rows import read_rows
from trainers.data.sources import Source

TEXT_AND_LABEL = Columns((Column("text", "text"),), Column("label", "label"))
ROWS: list[dict[str, Any]] = [
    {"text": "123", "label": "10", "other": 1},
    {"text": 'with, comma and "quotes"', "label": "9", "other": 2},
    {"text": "two\nlines", "label": "-3", "other": 3},
    {"text": "\u00fcber NA null", "label": "9", "other": 4},
]


def source(path: Path, kind: str) -> Source:
    return Source(split="train", address=str(path), format=kind)


def read(path: Path, kind: str) -> list[dict[str, Any]]:
    blocks = list(read_rows(source(path, kind), TEXT_AND_LABEL))
    return pa.concat_tables(blocks).to_pylist()


def csv_text(delimiter: str) -> str:
    lines = [
        delimiter.join('"' + str(value).replace('"', '""') + '"' for value in row.values())
        for row in ROWS
    ]
    return "\n".join([delimiter.join(ROWS[0]), *lines]) + "\n"


def with_integer_labels() -> list[dict[str, Any]]:
    return [{**row, "label": int(row["label"])} for row in ROWS]


def write(folder: Path, kind: str, *, gz: bool = False) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(with_integer_labels()), path)
        return path
    text = {
        "csv": csv_text(","),
        "tsv": csv_text("\t"),
        "json": json.dumps(with_integer_labels(), indent=1),
        "jsonl": "\n\n".join(json.dumps(row) for row in with_integer_labels()),
    }[kind]
    if gz:
        path = folder / f"rows.{kind}.gz"
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_text_rows(tmp_path: Path, kind: str) -> None:
    expected = [{"text": row["text"], "label": row["label"]} for row in ROWS]
    assert read(write(tmp_path, kind), kind) == expected
    if kind != "parquet":
        assert read(write(tmp_path, kind, gz=True), kind) == expected


def test_json_files_may_hold_one_object_a_line(tmp_path: Path) -> None:
    assert read(write(tmp_path, "jsonl"), "json") == read(write(tmp_path, "json"), "json")


def test_blocks_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("text,label\n" + "a,b\n" * (MAX_ROWS + 1))
    blocks = list(read_rows(source(path, "csv"), TEXT_AND_LABEL))
    assert [block.num_rows for block in blocks] == [MAX_ROWS, 1]


def test_absent_values_are_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": null, "label": 1}\n{"label": 2, "text": "a"}\n{"text": "b"}\n')
    assert [row["text"] for row in read(path, "jsonl")] == [None, "a", "b"]
    assert [row["label"] for row in read(path, "jsonl")] == ["1", "2", None]


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        ("csv", "", r"rows.csv is empty"),
        ("csv", "text,label\n", r"rows.csv has no rows"),
        ("csv", "txt,label\na,b\n", r"rows.csv has no column text. Nearest: txt"),
        ("csv", "text,label\na,b\n\na,b,c\n", r"rows.csv line 4 \(row 2\) has 3 cells where the"),
        ("csv", 'text,label\n"a\nb",c\nx\n', r"rows.csv line 4 \(row 2\) has 1 cells"),
        ("csv", 'text,label\n"a" b,c\n', r"rows.csv line 2: ',' expected after '\"'. Quote"),
        ("csv", 'text,label\n"a,b\n', r"rows.csv line 2: unexpected end of data"),
        ("csv", "text,label\nna\xefve,b\n", r"rows.csv line 2 is not UTF-8"),
        (
            "jsonl",
            '{"text": "a", "label": 1}\n{"text": "a" "label"}\n',
            r"rows.jsonl line 2 is not",
        ),
        ("jsonl", '{"text": "a", "label": 1}\n[1]\n', r"rows.jsonl line 2 is no JSON object"),
        ("jsonl", '{"text": "a", "label": 1.5}\n', r"line 1: label in column label is a number"),
        ("jsonl", '{"text": 5, "label": 1}\n', r"line 1: column text is an integer"),
        ("jsonl", '{"texts": "a", "label": 1}\n', r"rows.jsonl has no column text. Nearest: texts"),
        ("jsonl", "\n\n", r"rows.jsonl has no rows"),
        ("jsonl", '{"text": "na\xefve"}\n', r"rows.jsonl line 1 is not UTF-8"),
        ("json", '[{"text": "a", "label": 1}, 5]', r"rows.json row 2 is no JSON object"),
        ("json", '[{"text": "a"', r"rows.json is not JSON"),
        ("json", "[]", r"rows.json has no rows"),
        ("parquet", "text,label\n", r"rows.parquet cannot be read as parquet"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, kind: str, content: str, problem: str) -> None:
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=problem):
        read(path, kind)


def test_cut_or_wrong_gzip_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", gz=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rows.csv.gz cannot be read as csv"):
        read(path, "csv")
    path.write_text("text,label\na,b\n")
    with pytest.raises(DataError, match=r"rows.csv.gz cannot be read as csv after row 0: Not a gz"):
        read(path, "csv")


def test_parquet_types_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a"], "label": [0.5]}), path)
    with pytest.raises(DataError, match=r"rows.parquet from row 1 on: label column label holds"):
        read(path, "parquet")
    pq.write_table(pa.table({"text": ["a"], "labels": [1]}), path)
    with pytest.raises(DataError, match=r"rows.parquet has no column label. Nearest: labels"):
        read(path, "parquet")


def test_every_source_goes_to_its_reader_and_columns_may_have_other_names(tmp_path: Path) -> None:
    def rows(kind: str, name: str, **options: Any) -> list[dict[str, Any]]:
        given = Source(split="train", address=name, format=kind, **options)
        return pa.concat_tables(read_rows(given, TEXT_AND_LABEL)).to_pylist()

    expected = [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]
    (tmp_path / "a.txt").write_text("a\nb\n")
    (tmp_path / "b.txt").write_text("1\n2\n")
    assert rows("text", f"{tmp_path}/a.txt", pair=f"{tmp_path}/b.txt") == expected
    table = pa.table({"question": ["a", "b"], "class": [0, 1]})
    with pa.OSFile(f"{tmp_path}/c.arrow", "wb") as sink, pa.ipc.new_stream(sink, table.schema) as w:
        w.write_table(table)
    names = {"text": "question", "label": "class"}
    classes = {"class": ("1", "2")}
    assert rows("arrow", f"{tmp_path}/c.arrow", columns=names, classes=classes) == expected
    (tmp_path / "d.json").write_text('{"x": [["a", 1], ["b", 2]]}')
    assert rows("json", f"{tmp_path}/d.json", field="x") == expected
    (tmp_path / "e.csv").write_bytes("question,class\na,1\nb,2\n".encode("utf-16"))
    assert rows("csv", f"{tmp_path}/e.csv", columns=names, encoding="utf-16") == expected
    with sqlite3.connect(tmp_path / "f.db") as connection:
        connection.execute("CREATE TABLE x AS SELECT 'a' AS text, 1 AS label UNION SELECT 'b', 2")
    connection.close()
    url = f"sqlite:///{tmp_path}/f.db"
    assert rows("sql", url, query="SELECT * FROM x ORDER BY label") == expected
    with pytest.raises(DataError, match=r"f.db has no rows. Fill it"):
        rows("sql", url, query="SELECT * FROM x WHERE label = 3")
    Image.new("RGB", (4, 4)).save(tmp_path / "g.png")
    (tmp_path / "cat").mkdir()
    (tmp_path / "g.png").rename(tmp_path / "cat" / "g.png")
    found = rows("images", f"{tmp_path}/cat", columns={"text": "image"})
    assert found == [{"text": f"{tmp_path}/cat/g.png", "label": "cat"}]


WRONG = {
    "number": ("half", r"column c is text \(half\), not a number. Write a finite number"),
    "json": ("half", r"column c is no JSON: Expecting value"),
    "tags": ("[O", r"tags in column c are no list of strings but '\[O', no JSON"),
    "labels": ("['a']", r"labels in column c are no list of strings but .*, no JSON"),
    "words": ("['a", r"words in column c are no list of strings but .*, no JSON"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("form", WRITERS)
def test_a_wrong_cell_is_named_with_file_and_row(tmp_path: Path, form: str, kind: Any) -> None:
    good = {"number": "1.5", "json": "[1]"}.get(kind, "a")
    value, problem = WRONG[kind]
    path = tmp_path / f"rows.{form}"
    WRITERS[form](path, [{"c": good}, {"c": value}])
    columns = Columns((Column("c", kind),), None)
    place = "rows.jsonl line 3" if form == "jsonl" else f"rows.{form} row 2"
    with pytest.raises(DataError, match=f"{place}: {problem}") as raised:
        list(read_rows(source(path, form), columns))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("form", WRITERS)
def test_images_lie_beside_the_file_that_names_them(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"rows.{form}"
    images = ["more/a.png", "/b.png", "s3://c/d.png"]
    WRITERS[form](path, [{"picture": image, "user": 5} for image in images])
    given = source(path, form).model_copy(update={"columns": {"image": "picture"}})
    columns = Columns((Column("image", "image"),), None)
    found = pa.concat_tables(read_rows(given, columns, "user")).to_pydict()
    assert found == {
        "image": [f"{tmp_path}/more/a.png", "/b.png", "s3://c/d.png"],
        "user": ["5"] * 3,
    }


def test_images_of_a_folder_given_from_here_have_whole_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "g.png")
    monkeypatch.chdir(tmp_path)
    given = Source(split="train", address="cat", format="images")
    columns = Columns((Column("image", "image"),), Column("label", "label"))
    [table] = read_rows(given, columns)
    assert table.to_pylist() == [{"image": f"{tmp_path}/cat/g.png", "label": "cat"}]


def test_images_of_hugging_face_are_their_bytes(tmp_path: Path) -> None:
    cells = [{"bytes": b"\x00", "path": "a.png"}, {"bytes": None, "path": "b.png"}]
    for image in (pa.array(cells), pa.array([b"\x00", None])):
        pq.write_table(pa.table({"image": image}), tmp_path / "rows.parquet")
        columns = Columns((Column("image", "image"),), None)
        [table] = read_rows(source(tmp_path / "rows.parquet", "parquet"), columns)
        assert table["image"][0].as_py() == "data:;base64,AA=="


WIDE = b"x" * 80 * 2**20
GOOD_CSV = b"text,label\none,a\n"
LONG = {
    "csv": (GOOD_CSV + WIDE, "line 3 is longer than 64 MiB"),
    "csv-quoted": (GOOD_CSV + b'"' + b"x\n" * 40 * 2**20, r"line \d+ is longer than 64 MiB"),
    "csv-bare-quote": (GOOD_CSV + b'a"b,a\n' + WIDE, "line 4 is longer than 64 MiB"),
    "jsonl": (b'{"text": "one", "label": "a"}\n{"text": "' + WIDE, "line 2 is longer than 64 MiB"),
    "json": (b'[{"text": "one", "label": "a"}, {"text": "' + WIDE, "row 2 is longer than 64 MiB"),
    "json-blanks": (b" " * len(WIDE), "begins with blanks and is longer than 64 MiB"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_row_without_end_is_refused_in_bounded_memory(name: str, tmp_path: Path) -> None:
    content, said = LONG[name]
    path = tmp_path / "rows.gz"
    path.write_bytes(gzip.compress(content, 1))
    assert path.stat().st_size < 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=said):
        list(read_rows(source(path, name.partition("-")[0]), TEXT_AND_LABEL))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 600 * 1024  # KiB: some copies of the longest row, not of the file


def test_a_cell_of_six_megabytes_is_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(GOOD_CSV + b"x" * 6 * 2**20 + b",b\n")
    assert [len(row["text"]) for row in read(path, "csv")] == [3, 6 * 2**20]
