"""What of an input can be refused where the command is typed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.prediction_input import check_input
from configs.errors import DataError
from tests.recipes import tiny_recipe


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("in.csv", "txt,n\na,1\n", "has no column text. Nearest: txt"),
        ("in.tsv", "sentence\tn\na\t1\n", "has no column text"),
        ("in.jsonl", '{"txt": "a"}\n', "has no column text. Nearest: txt"),
        ("in.txt", "text\na\n", "does not tell its format. Give --format csv, tsv"),
        ("other", "", "does not tell its format"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=problem):
        check_input(tiny_recipe(tmp_path), str(tmp_path / name))


def test_a_parquet_file_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    pq.write_table(pa.table({"txt": ["a"]}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="has no column text"):
        check_input(recipe, str(tmp_path / "in.parquet"))
    with pytest.raises(DataError, match=r"absent\.csv does not exist"):
        check_input(recipe, str(tmp_path / "absent.csv"))


def test_what_may_be_right_is_left_to_the_job(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    (tmp_path / "in.txt").write_text("text\na\n")
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"text": "a"}\n')
    (tmp_path / "in.parquet").write_text("damaged")
    check_input(recipe, str(tmp_path / "in.txt"), "csv")
    check_input(recipe, str(tmp_path / "in.jsonl"))
    check_input(recipe, str(tmp_path / "in.parquet"))
    check_input(recipe, "s3://bucket/absent.csv")
    check_input(recipe, str(tmp_path / "on" / "other" / "machines.csv"))
