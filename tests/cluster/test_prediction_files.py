"""Files of predictions in every format; what cannot be one file is refused."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.prediction_files import check_output, write_blocks
from configs.errors import DataError, RecipeError

BLOCKS = [
    pa.table({"n": [1], "p": pa.nulls(1), "e": ['bad, "row"']}),
    pa.table({"n": [2], "p": [{"a": 0.5}], "e": pa.nulls(1)}),
]


@pytest.mark.parametrize("output", ["out.txt", "out", "folder/"])
def test_output_has_a_format(output: str) -> None:
    with pytest.raises(RecipeError, match=r"names no format\. Let it end in \.csv, \.tsv"):
        check_output(output)


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_of_text_have_a_header_and_json_in_their_cells(
    ending: str, delimiter: str, tmp_path: Path
) -> None:
    assert write_blocks(BLOCKS, str(tmp_path / f"out.{ending}")) == 2
    with (tmp_path / f"out.{ending}").open(newline="") as stream:
        rows = [*csv.reader(stream, delimiter=delimiter)]
    assert rows == [["n", "p", "e"], ["1", "", 'bad, "row"'], ["2", '{"a": 0.5}', ""]]


def test_parquet_waits_for_the_types_of_columns(tmp_path: Path) -> None:
    assert write_blocks([*BLOCKS, BLOCKS[0]], str(tmp_path / "out.parquet")) == 3
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["p"] for row in found] == [None, {"a": 0.5}, None]
    assert write_blocks(BLOCKS[:1], str(tmp_path / "none.parquet")) == 1
    assert pq.read_table(tmp_path / "none.parquet").to_pylist() == BLOCKS[0].to_pylist()
    assert write_blocks([], str(tmp_path / "empty.parquet")) == 0


def test_files_of_one_input_may_differ_in_json_lines_alone(tmp_path: Path) -> None:
    blocks = [pa.table({"n": [1], "b": [b"\x00"]}), pa.table({"m": ["x"], "b": [b"\x01"]})]
    assert write_blocks(blocks, str(tmp_path / "out.jsonl")) == 2
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert list(map(json.loads, lines)) == [{"n": 1, "b": "AA=="}, {"m": "x", "b": "AQ=="}]
    for ending in ("parquet", "csv"):
        with pytest.raises(DataError, match=r"files of the input have other columns or types"):
            write_blocks(blocks, str(tmp_path / f"out.{ending}"))
        assert not (tmp_path / f"out.{ending}").exists()
