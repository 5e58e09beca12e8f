"""Databases: a SELECT's rows as text, nothing written, no password told."""

import sqlite3
import sys
from pathlib import Path

import pytest

from configs.errors import DataError, RecipeError
from trainers.data.cells import Asked
from trainers.data.databases import hash_rows, read_query, shown_url

QUERY = "SELECT text, label, 0.5 AS other FROM rows WHERE text != ':x 12:30'"


def write(path: Path, rows: list[tuple[object, ...]]) -> str:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS rows (text, label)")
        connection.execute("DELETE FROM rows")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def read(url: str, query: str = QUERY, digest: str = "") -> list[tuple[object, ...]]:
    tables = read_query(url, query, [Asked("text", "text"), Asked("label", "label")], digest)
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_rows_are_text_in_blocks(tmp_path: Path) -> None:
    url = write(tmp_path / "x.db", [(f"text {n}", n) for n in range(40_000)])
    assert read(url) == [(f"text {n}", str(n)) for n in range(40_000)]
    assert read(url, "SELECT 'a' AS label, text FROM rows WHERE label = 3") == [("text 3", "a")]


def test_a_hash_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [("a", 1), ("b", None), ("a", 1)]
    url = write(tmp_path / "x.db", rows)
    digest, _ = hash_rows(url, QUERY)
    assert read(url, digest=digest) == [("a", "1"), ("b", None), ("a", "1")]
    assert hash_rows(url, f"{QUERY} ORDER BY text DESC")[0] == digest
    write(tmp_path / "x.db", [*rows, ("c", 1)])
    assert hash_rows(url, QUERY)[0] != digest
    with pytest.raises(DataError, match=r"gave other rows the second time. Prepare while nobody"):
        read(url, digest=digest)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT * FROM absent", r"x.db: the query failed: no such table: absent. Correct"),
        ("SELECT text AS txt, label FROM rows", r"x.db \(query\) has no column text. Nearest: txt"),
        ("SELECT label AS text, label FROM rows", r"x.db row 1: column text is an integer \(1\)"),
        ("SELECT text, 0.5 AS label FROM rows", r"x.db row 1: label in column label is a number"),
        ("SELECT text, text, label FROM rows", r"has the column text more than once"),
        ("WITH x AS (SELECT 1) DELETE FROM rows", r"the query failed: attempt to write a readonly"),
    ],
)
def test_wrong_queries_are_named(tmp_path: Path, query: str, problem: str) -> None:
    url = write(tmp_path / "x.db", [("a", 1)])
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(DataError, match=problem):
        read(url, query)
    assert (tmp_path / "x.db").read_bytes() == before


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x.db does not exist. Check the path"):
        read(f"sqlite:///{tmp_path}/x.db")
    assert list(tmp_path.iterdir()) == []


def test_passwords_are_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        shown_url("postgresql://me:s3cret@host:5432/rows?password=s3cret&x=1")
        == "postgresql://me:***@host:5432/rows?..."
    )
    assert shown_url("sqlite:///x.db") == "sqlite:///x.db"
    with pytest.raises(DataError) as caught:
        read("sqlite://me:s3cret@host/x.db")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"needs THAW_NOT_THERE in the environment. Set it"):
        read("postgresql://me:${THAW_NOT_THERE}@host/rows")
    with pytest.raises((DataError, RecipeError)) as caught_too:
        read("nothing://me:s3cret@host/rows")
    assert "s3cret" not in str(caught_too.value)


def test_a_node_without_sqlalchemy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(RecipeError, match=r"needs SQLAlchemy. Install thaw\[sql\] on every node"):
        read("sqlite:///x.db")


def test_columns_of_other_kinds(tmp_path: Path) -> None:
    url = write(tmp_path / "x.db", [("a b", 1), (None, None)])
    query = "SELECT text, label, x'00ff' AS image, 0.5 AS key FROM rows"
    asked = [
        Asked("text", "words"),
        Asked("label", "number"),
        Asked("image", "image"),
        Asked("key", "key"),
    ]
    assert [
        tuple(row.values()) for t in read_query(url, query, asked, "") for row in t.to_pylist()
    ] == [
        ('["a","b"]', "1.0", "data:;base64,AP8=", "0.5"),
        (None, None, "data:;base64,AP8=", "0.5"),
    ]
    with pytest.raises(DataError, match=r"x.db row 1: column text is text \(a b\), not a number"):
        list(read_query(url, query, [Asked("text", "number")], ""))
    with pytest.raises(DataError, match=r"x.db row 1: the address of the image .* Write the whole"):
        list(read_query(url, query, [Asked("text", "image")], ""))
