"""Sources that are not on a disk: prepared from a real S3 server, and from a database."""

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import DataError
from tests.object_store import ObjectStore
from tests.trainers.data import words
from tests.trainers.data.test_hub_folders import write_saved
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers import storage
from trainers.data.preparation import Prepared, prepare
from trainers.data.store import open_split


def prepared(train: Any, store: str, **data: Any) -> Prepared:
    return prepare(make_recipe("x", data={"train": train, **data}), store, words.WORDS)


def test_a_bucket_is_prepared_like_a_folder_and_into_a_bucket(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    root = object_store.make_bucket("rows")
    rows = numbered_rows(200)
    for number in range(2):
        part = write_lines(tmp_path / f"{number}.jsonl", rows[100 * number : 100 * number + 100])
        storage.upload(part, f"{root}/lines/{number}.jsonl")
    table = pa.Table.from_pylist(rows[:50])
    pq.write_table(table, tmp_path / "test.parquet")
    storage.upload(tmp_path / "test.parquet", f"{root}/test.parquet")
    here = prepared(
        str(tmp_path / "*.jsonl"), f"{tmp_path}/set", test=str(tmp_path / "test.parquet")
    )
    there = prepared(f"{root}/**/*.jsonl", f"{root}/runs", test=f"{root}/test.parquet")
    assert there.manifest.splits["train"].rows == 150
    assert there.data_dir.startswith("s3://rows/runs/.prepared/")
    assert there.manifest == here.manifest
    with pytest.raises(DataError, match=r"data.train: s3://rows/line.csv does not exist"):
        prepared(f"{root}/line.csv", f"{tmp_path}/set")
    with pytest.raises(DataError, match=r"data.train: s3://nowhere/\*.csv matches no file"):
        prepared("s3://nowhere/*.csv", f"{tmp_path}/set")


def test_a_saved_data_set_in_a_bucket(object_store: ObjectStore, tmp_path: Path) -> None:
    root = object_store.make_bucket("saved")
    rows = pa.Table.from_pylist(numbered_rows(40))
    folder = write_saved(tmp_path / "set", rows)
    for file in folder.iterdir():
        storage.upload(file, f"{root}/set/{file.name}")
    here = prepared(str(folder), f"{tmp_path}/runs")
    assert prepared(f"{root}/set", f"{tmp_path}/runs").cached
    assert here.manifest.splits["train"].rows == 40


def test_a_query_is_prepared_and_found_again(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE x (text, label)")
        rows = [(row["text"], row["label"]) for row in numbered_rows(60)]
        connection.executemany("INSERT INTO x VALUES (?, ?)", rows)
    connection.close()
    entry = {"path": f"sqlite:///{tmp_path}/x.db", "query": "SELECT * FROM x", "name": "tickets"}
    made = prepared(entry, f"{tmp_path}/runs", test="20%")
    assert made.manifest.sources == ("tickets",)
    assert made.manifest.report.rows_in == 60
    assert prepared(entry, f"{tmp_path}/runs", test="20%").cached
    info = made.manifest.splits["test"]
    assert len(open_split(made.data_dir, made.manifest, "test").lengths(0, info.rows)) == info.rows
