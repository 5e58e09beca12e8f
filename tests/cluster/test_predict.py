"""Files in and out; the model's own answers are tested with trainers.predictor."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import jobs, runs
from cluster.local import LocalCluster
from cluster.predict import BATCH_ROWS, PredictBatch, settle
from configs.errors import DataError
from configs.records import Ended
from configs.schema import Recipe
from configs.task_columns import Column
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import run_all
from tests.trainers.test_predictor import make_export
from trainers.committed import export
from trainers.data.bad_rows import BadRows
from trainers.data.preparation import prepare
from trainers.data.sources import find_input
from trainers.data.whole_rows import read_whole
from trainers.place import Place
from trainers.predictor import Predictor


class Shouts:
    """Says texts aloud in the place of a model; refuses silence."""

    predicted = ("said",)

    def __init__(self) -> None:
        self.predictions = 0

    def encode(self, cells: pa.Table) -> tuple[pa.Table, dict[int, str]]:
        texts = cells["text"].to_pylist()
        wrong = {n: "there is nothing to say. Say it" for n, text in enumerate(texts) if not text}
        return cells.filter(pa.array([bool(text) for text in texts], pa.bool_())), wrong

    def predict(self, rows: pa.Table) -> dict[str, list[Any]]:
        self.predictions += 1
        return {"said": [text.upper() for text in rows["text"].to_pylist()]}


def _batch(*, skips_bad: bool) -> PredictBatch:
    batch = PredictBatch.__new__(PredictBatch)
    batch._predict, batch._skips_bad, batch._found_bad = Shouts(), skips_bad, False
    return batch


def _read(path: Path, text: str) -> list[pa.Table]:
    path.write_text(text)
    [source] = find_input(str(path))
    return list(read_whole(source, [Column("text", "text")]))


def test_predictions_stand_beside_the_columns_of_the_input(tmp_path: Path) -> None:
    [block] = _read(tmp_path / "in.csv", "n,text\n007,a\n,b\n")
    [made] = settle([_batch(skips_bad=False)(block)], BadRows(), skips_bad=False)
    assert made.to_pylist() == [
        {"n": "007", "text": "a", "said": "A"},
        {"n": "", "text": "b", "said": "B"},
    ]


BAD_LINES = "".join(f'{{"text": {text}}}\n' for text in ('"a"', "null", '""', 42, 7, '"b"'))


def test_bad_rows_are_refused_all_at_once(tmp_path: Path) -> None:
    [block] = _read(tmp_path / "in.jsonl", BAD_LINES)
    batch = _batch(skips_bad=False)
    with pytest.raises(DataError) as refused:
        list(settle([batch(block), batch(block)], BadRows(), skips_bad=False))
    assert str(refused.value) == (
        "8 rows cannot be predicted: "
        "4 x column text is an integer, not text (in.jsonl line 4, in.jsonl line 5, "
        "in.jsonl line 4, in.jsonl line 5); "
        "2 x column text is empty (in.jsonl line 2, in.jsonl line 2); "
        "2 x there is nothing to say (in.jsonl line 3, in.jsonl line 3). "
        "Mend them, or give --bad skip, which writes them with what is wrong in the column error"
    )
    assert batch._predict.predictions == 0  # nobody waits for what is refused in the end


def test_bad_rows_that_are_skipped_keep_their_place(tmp_path: Path) -> None:
    [block] = _read(tmp_path / "in.jsonl", BAD_LINES)
    bad = BadRows()
    [made] = settle([_batch(skips_bad=True)(block)], bad, skips_bad=True)
    rows = made.to_pylist()
    assert [row["said"] for row in rows] == ["A", None, None, None, None, "B"]
    assert [row["text"] for row in rows] == ["a", None, "", "42", "7", "b"]
    assert [row["error"] is None for row in rows] == [True, False, False, False, False, True]
    assert rows[2]["error"] == "there is nothing to say. Say it"
    assert bad.total == 4


def test_probabilities_have_the_names_of_the_labels() -> None:
    batch = _batch(skips_bad=False)
    batch._predict.export = SimpleNamespace(label_names=("no", "yes"))
    assert batch._named("probabilities", [0.25, 0.75]) == {"no": 0.25, "yes": 0.75}
    assert batch._named("probability", 0.75) == 0.75


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


@pytest.mark.proof
@pytest.mark.slow
def test_a_stopped_run_predicts_with_its_best_commit(
    two_nodes: LocalCluster, tmp_path: Path
) -> None:
    """The bits are those of an export of the same commit; what was lent for it is gone."""
    recipe = tiny_recipe(
        tmp_path, name="halted", checkpoint={"every_steps": 2}, cluster={"num_workers": 2}
    )
    home = Path(recipe.storage) / "halted"
    data_dir = prepare(recipe, recipe.storage).data_dir
    state = runs.create_run(recipe.storage, recipe, "halted.01")
    told = on_ranks(1, run_all, [recipe], data_dir, 1, 9)[0][0]
    assert told.ended.state == "stopped"
    state = state.model_copy(update={"state": "stopped", "attempts": 1, "data_dir": data_dir})
    runs.write_state(state)
    (exported,) = on_ranks(1, _export, recipe, data_dir, str(tmp_path / "place"))
    texts = [f"the topic{n % 3}a of {n}" for n in range(40)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    arguments = {"input": str(tmp_path / "in.parquet"), "output": str(tmp_path / "out.parquet")}
    job_id = jobs.submit(two_nodes.address, "predict", recipe, arguments)
    [*_, ended] = jobs.follow(two_nodes.address, job_id)
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.step) == (0, exported.step), ended.message
    assert f"with commit step-{exported.step:08d}.a01, the best by macro_f1" in ended.message
    found = pq.read_table(tmp_path / "out.parquet")
    made = Predictor(str(tmp_path / "place"))(pa.table({"text": texts}))
    assert found["predicted_label"].to_pylist() == made["predicted_label"]
    assert found["probability"].to_pylist() == made["probability"]
    assert [path.name for path in home.iterdir() if path.name.startswith((".", "export"))] == []


def _export(rank: int, world_size: int, recipe: Recipe, data_dir: str, folder: str) -> Ended:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 1, "cpu")
    return export(recipe, place, lambda record: None, folder)
