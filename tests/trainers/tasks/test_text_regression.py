"""Columns to tokens and values, loss against transformers' own, predictions, whole runs."""

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import TextRegression
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder, make_tokenizer
from tests.trainers.task_runs import prove_task
from trainers.tasks import functions_of
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.refusals import RowError
from trainers.tasks.text_regression import TEXT_REGRESSION

TASK = TextRegression(kind="text_regression", value="stars")
SETTING = Setting(TASK, (), "cpu", make_tokenizer)


def _encoded(texts: list[str], values: list[Any]) -> pa.Table:
    cells = pa.table({"text": texts, "stars": values})
    return TEXT_REGRESSION.encode(TASK, make_tokenizer(), 64, (), cells)


def _collated(texts: list[str], values: list[Any]) -> Any:
    return TEXT_REGRESSION.collate(TASK, Batching(0, 64, 1, 0))(_encoded(texts, values))


def test_columns_are_those_of_the_recipe() -> None:
    assert functions_of(TASK) is TEXT_REGRESSION
    value = Column("stars", "number")
    assert TEXT_REGRESSION.columns(TASK) == Columns((Column("text", "text"),), value)
    pairs = TASK.model_copy(update={"text_b": "other"})
    assert [c.name for c in TEXT_REGRESSION.columns(pairs).all] == ["text", "other", "stars"]


def test_rows_hold_tokens_value_and_length() -> None:
    table = _encoded(["a an", "And"], ["2.5", "-1"])
    assert table.column_names == ["input_ids", "label", "length"]
    assert table["label"].type == pa.float32()
    assert table["label"].to_pylist() == [2.5, -1.0]


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(RowError, match="column stars has 'many'"):
        _encoded(["a", "an"], ["1", "many"])


def test_the_loss_is_that_of_transformers_times_the_rows(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    model, head, new = TEXT_REGRESSION.build_model(Model(path=str(folder)), TASK, ())
    assert model.config.problem_type == "regression"
    assert {name: tuple(p.shape) for name, p in model.named_parameters() if name in head} == {
        "classifier.weight": (1, 32),
        "classifier.bias": (1,),
    }
    assert new >= head
    inputs, labels = _collated(["a an", "and", "are"], ["1", "0.5", "-3"])
    model.eval()
    outputs = model(**inputs, labels=labels)
    found = TEXT_REGRESSION.summed_loss(outputs, labels)
    assert found.item() == pytest.approx(3 * outputs.loss.item(), rel=1e-6)
    assert TEXT_REGRESSION.output_of(outputs).shape == (3, 1)


def test_a_row_without_value_has_neither_loss_nor_gradient() -> None:
    logits = torch.ones(2, 1, requires_grad=True)
    labels = torch.tensor([math.nan, 3.0])
    loss = TEXT_REGRESSION.summed_loss(SimpleNamespace(logits=logits), labels)
    loss.backward()
    assert loss.item() == 4.0
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [0.0, -4.0]


def test_samples_and_predictions_show_values() -> None:
    inputs, labels = _collated(["a an", "and"], ["1", "0.5"])
    labels[1] = math.nan
    fed = Fed(inputs, labels, SimpleNamespace(logits=torch.tensor([[0.25], [2.0]])))
    given = TEXT_REGRESSION.answer(SETTING, fed)
    assert TEXT_REGRESSION.samples(SETTING, fed, given) == [Sample("a an", "1", "0.25")]
    assert TEXT_REGRESSION.predictions(SETTING, given) == {"predicted_value": [0.25, 2.0]}
    scores = TEXT_REGRESSION.build_scores(SETTING)
    scores.update(given, torch.tensor([True, False]))
    assert scores.compute().metrics["mae"] == 0.75


def test_rows_without_values_are_fed_as_such() -> None:
    rows = _encoded(["a", "an"], ["1", "2"]).drop(["label"])
    _, labels = TEXT_REGRESSION.collate(TASK, Batching(0, 64, 1, 0))(rows)
    assert labels.isnan().tolist() == [True, True]


def _with_values(path: Path) -> None:
    """Put in the place of each label a number that its words and its length tell."""
    with path.open() as stream:
        rows = [
            (r["text"], int(r["label"][-1]) + len(r["text"]) / 320) for r in csv.DictReader(stream)
        ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "value"), *rows])


@pytest.mark.parametrize("kind", with_proofs("bert", "distilbert", "roberta", "modernbert", "gpt2"))
def test_whole_runs_agree(tmp_path: Path, kind: str) -> None:
    # Before it has learnt, a model has a correlation and an R2 near 0,
    # whose digits are those of rounding: it learns until they are not.
    make_model_folder(tmp_path / "model", kind, spread=0.1)
    tiny_recipe(tmp_path)
    for split in ("train", "validation", "test"):
        _with_values(tmp_path / f"{split}.csv")
    recipe = tiny_recipe(
        tmp_path,
        task={"kind": "text_regression"},
        optimizer={"learning_rate": 5e-3},
        epochs=8,
        early_stopping={"metric": "rmse"},
    )
    proved = prove_task(recipe, pa.table({"text": ["a an and", "topic1a"]}), brief=True)
    assert len(proved.predictions["predicted_value"]) == 2
    metrics = proved.told.ended.metrics
    assert metrics["pearson"] > 0.4
    assert metrics["loss"] == pytest.approx(metrics["mse"], rel=1e-6)
