"""Sources: what goes together, and what a database's address is."""

import pytest
from pydantic import ValidationError

from configs.source_sections import SourceEntry, is_database, source_entries


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"path": "sqlite:///x.db"}, "a database needs query. Give a SELECT"),
        ({"path": "sqlite:///x.db", "query": "DROP TABLE rows"}, "a database needs query"),
        ({"path": "x.csv", "query": "SELECT 1"}, "query is for databases"),
        ({"path": ["a", "b"], "pair": "c"}, "go with one path"),
        ({"path": "a", "format": "text"}, "format text needs pair"),
        ({"path": "a", "format": "csv", "pair": "b"}, "pair goes with format text"),
        ({"path": "a", "encoding": "utf-9"}, "utf-9 is not an encoding"),
        ({"path": "a", "encoding": "base64"}, "base64 is not an encoding"),
        ({"path": "a", "weight": 0}, "greater than 0"),
        ({"path": "a", "max_rows": 0}, "greater than or equal to 1"),
        ({"path": []}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(value, sentence):
    with pytest.raises(ValidationError, match=sentence):
        SourceEntry.model_validate(value)


def test_databases_are_told_from_other_addresses():
    urls = ["sqlite:///x.db", "postgresql+psycopg://h/d", "mysql://h/d", "duckdb:///x"]
    assert all(map(is_database, urls))
    files = [
        "a.csv",
        "s3://b/k",
        "gs://b/k",
        "hf://datasets/o/n",
        "file:///x",
        "/x",
        "fsspec+a://b",
    ]
    assert not any(map(is_database, files))


def test_every_form_is_a_list_of_entries():
    section = SourceEntry(path=("a", "b"), weight=2)
    assert section.paths == ("a", "b")
    assert source_entries(("c", section)) == (SourceEntry(path="c"), section)
    assert source_entries("c") == (SourceEntry(path="c"),)
    assert source_entries(section) == (section,)
    assert source_entries(None) == source_entries(0.1) == ()
