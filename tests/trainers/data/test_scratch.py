"""Rows on their way: what was appended reads back, file by file."""

from pathlib import Path

import pyarrow as pa
import pytest

from configs.errors import StorageError
from trainers.data.scratch import RowFiles, read_row_file, read_row_files


def test_rows_read_back_by_key_and_name_in_the_order_of_numbers(tmp_path: Path) -> None:
    for name in ("10", "9"):
        with RowFiles(str(tmp_path), name) as files:
            for value in (1, 2):
                files.append("left", pa.table({"x": [value * int(name)]}))
            files.append("right", pa.table({"x": pa.array([], pa.int64())}))
    left = read_row_files(str(tmp_path), "left")
    assert list(left) == ["9", "10"]
    assert left["9"]["x"].to_pylist() == [9, 18]
    assert read_row_file(str(tmp_path), "right", "10").num_rows == 0
    assert read_row_files(str(tmp_path), "absent") == {}


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="could not be written"),
        RowFiles(str(tmp_path / "file"), "0") as files,
    ):
        files.append("key", pa.table({"x": [1]}))
