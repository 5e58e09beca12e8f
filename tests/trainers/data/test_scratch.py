"""Rows on their way: buckets read back, finished work is found again while its files are whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel

from configs.errors import StorageError
from trainers.data.scratch import bucket_file, kept, read_bucket, read_rows_of, write_rows


class Result(BaseModel):
    value: int


def test_rows_of_a_bucket_read_back_in_the_order_they_came(tmp_path: Path) -> None:
    with bucket_file(str(tmp_path), "key", "7", flush_rows=10) as file:
        for start in range(0, 60, 6):
            values = np.arange(start, start + 6)
            file.append(pa.table({"x": values}), values % 3)
    for bucket in range(3):
        found = read_bucket(str(tmp_path), "key", "7", bucket)
        assert found is not None
        assert found["x"].to_pylist() == list(range(bucket, 60, 3))
    assert read_bucket(str(tmp_path), "key", "7", 3) is None
    assert sorted(path.name for path in (tmp_path / "key").iterdir()) == ["7.arrow", "7.npy"]
    assert not any((tmp_path / "tmp").iterdir())


def test_a_file_without_rows_has_no_bucket(tmp_path: Path) -> None:
    with bucket_file(str(tmp_path), "key", "0"):
        pass
    assert read_bucket(str(tmp_path), "key", "0", 0) is None


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="half-way"),
        bucket_file(str(tmp_path), "key", "0") as file,
    ):
        file.append(pa.table({"x": [1]}), np.zeros(1, np.int64))
        raise RuntimeError("half-way")
    assert not (tmp_path / "key").exists()
    assert not any((tmp_path / "tmp").iterdir())


def test_whole_files_read_back(tmp_path: Path) -> None:
    write_rows(str(tmp_path), "key", "0-train", pa.table({"x": [1, 2]}))
    assert read_rows_of(str(tmp_path), "key", "0-train")["x"].to_pylist() == [1, 2]


def test_finished_work_is_done_again_only_where_a_file_changed(tmp_path: Path) -> None:
    done = []

    def make() -> Result:
        write_rows(str(tmp_path), "key", "0", pa.table({"x": [1, 2]}))
        done.append(1)
        return Result(value=5)

    def work() -> Result:
        return kept(str(tmp_path), "work", Result, lambda _: ["key/0.arrow", "key/no"], make)

    assert [work(), work()] == [Result(value=5)] * 2
    assert len(done) == 1
    file = tmp_path / "key" / "0.arrow"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert work() == Result(value=5)
    assert len(done) == 2
    file.unlink()
    work()
    assert len(done) == 3
    (tmp_path / "done" / "work.json").write_text('{"made": ')
    work()
    assert len(done) == 4


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        write_rows(str(tmp_path / "file"), "key", "0", pa.table({"x": [1]}))
