"""Files in and out; the model's own answers are tested with trainers.predictor."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import jobs, runs
from cluster.local import LocalCluster
from cluster.predict import BATCH_ROWS, PredictBatch, _write, check_output
from configs.errors import DataError, RecipeError
from configs.records import Ended
from configs.task_columns import Column
from tests.recipes import tiny_recipe
from tests.trainers.test_predictor import make_export
from trainers.data.sources import find_input
from trainers.data.whole_rows import read_whole
from trainers.predictor import Predictor
from trainers.tasks.refusals import RowError


@pytest.mark.parametrize("output", ["out.csv", "out", "folder/"])
def test_output_has_a_format(output: str) -> None:
    with pytest.raises(RecipeError, match=r"\.parquet or \.jsonl"):
        check_output(output)


class Shouts:
    """Says texts aloud in the place of a model; refuses silence."""

    def __call__(self, cells: pa.Table) -> dict[str, list[Any]]:
        texts = cells["text"].to_pylist()
        if "" in texts:
            raise RowError(texts.index(""), "there is nothing to say. Say something")
        return {"said": [text.upper() for text in texts]}


def test_predictions_stand_beside_the_columns_of_the_input(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n,text\n007,a\n,b\n")
    [source] = find_input(str(path))
    [block] = read_whole(source, [Column("text", "text")])
    batch = PredictBatch.__new__(PredictBatch)
    batch._predict = Shouts()
    assert batch(block).to_pylist() == [
        {"n": "007", "text": "a", "said": "A"},
        {"n": "", "text": "b", "said": "B"},
    ]
    path.write_text("n,text\n1,a\n2,\n")
    [block] = read_whole(source, [Column("text", "text")])
    with pytest.raises(DataError, match=r"in.csv row 2: there is nothing to say. Say something$"):
        batch(block)


def test_files_of_one_input_may_differ_in_json_lines_alone(tmp_path: Path) -> None:
    blocks = [pa.table({"n": [1], "b": [b"\x00"]}), pa.table({"n": ["x"], "b": [b"\x01"]})]
    assert _write(blocks, str(tmp_path / "out.jsonl")) == 2
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert list(map(json.loads, lines)) == [{"n": 1, "b": "AA=="}, {"n": "x", "b": "AQ=="}]
    with pytest.raises(DataError, match=r"files of the input have other columns or types"):
        _write(blocks, str(tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.slow
def test_rows_come_out_as_they_went_in(two_nodes: LocalCluster, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, name="seer", cluster={"num_workers": 2})
    runs.create_run(recipe.storage, recipe, "seer.01")
    make_export(tmp_path).rename(Path(recipe.storage) / "seer" / "export")
    texts = [f"the topic{n % 3}a of {n}" for n in range(BATCH_ROWS + 100)]
    pq.write_table(pa.table({"text": texts, "label": ["x"] * len(texts)}), tmp_path / "in.parquet")
    made = Predictor(str(Path(recipe.storage) / "seer" / "export"))(pa.table({"text": texts}))
    arguments = {"input": str(tmp_path / "in.parquet"), "output": str(tmp_path / "out.parquet")}
    job_id = jobs.submit(two_nodes.address, "predict", recipe, arguments)
    [*_, ended] = jobs.follow(two_nodes.address, job_id)
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.rows) == (0, len(texts)), ended.message
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["text"] for row in found] == texts
    assert [row["predicted_label"] for row in found] == made["predicted_label"]
    assert [row["probability"] for row in found] == pytest.approx(made["probability"], abs=1e-5)
    assert {row["label"] for row in found} == {"x"}
