"""Columns to sets of labels, loss against transformers' own, predictions, whole runs."""

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.model_sections import Model
from configs.task_columns import Column
from configs.task_sections import MultiLabelClassification
from tests.origin import NAMES
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import COMMON_WORDS, make_model_folder, make_tokenizer
from tests.trainers.task_runs import prove_task
from trainers.tasks import functions_of
from trainers.tasks.judging import Batching, Fed, Sample, Setting
from trainers.tasks.multi_label_classification import MULTI_LABEL_CLASSIFICATION
from trainers.tasks.refusals import RowError

TASK = MultiLabelClassification(kind="multi_label_classification", threshold=0.6)
SETTING = Setting(TASK, NAMES, "cpu", make_tokenizer)


def _encoded(texts: list[str], labels: list[Any]) -> pa.Table:
    cells = pa.table({"text": texts, "labels": labels})
    return MULTI_LABEL_CLASSIFICATION.encode(TASK, make_tokenizer(), 64, NAMES, cells)


def _collated(rows: pa.Table) -> Any:
    return MULTI_LABEL_CLASSIFICATION.collate(TASK, Batching(0, 64, 1, len(NAMES)))(rows)


def test_a_row_may_have_no_label() -> None:
    assert functions_of(TASK) is MULTI_LABEL_CLASSIFICATION
    found = MULTI_LABEL_CLASSIFICATION.columns(TASK)
    assert found.target == Column("labels", "labels", may_be_empty=True)
    assert found.has_classes


def test_rows_hold_the_places_of_their_labels() -> None:
    table = _encoded(["a", "an", "and"], ['["label-2","label-0"]', "[]", "label-1, label-2"])
    assert table.column_names == ["input_ids", "label", "length"]
    assert table["label"].to_pylist() == [[2, 0], [], [1, 2]]
    _, labels = _collated(table)
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    # A slice of a list column has an offset into its values.
    assert _collated(table.slice(2))[1].tolist() == [[0, 1, 1]]
    assert _collated(table.drop(["label"]))[1].isnan().all()


def test_an_unknown_label_is_refused_with_its_row() -> None:
    with pytest.raises(RowError, match="label 'other' in column labels is none of 3") as caught:
        _encoded(["a", "an"], ['["label-0"]', '["label-1","other"]'])
    assert caught.value.index == 1


def test_the_loss_is_that_of_transformers_times_rows_and_classes(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    model, _, _ = MULTI_LABEL_CLASSIFICATION.build_model(Model(path=str(folder)), TASK, NAMES)
    assert model.config.problem_type == "multi_label_classification"
    inputs, labels = _collated(_encoded(["a an", "and"], ['["label-2"]', '["label-0","label-1"]']))
    model.eval()
    outputs = model(**inputs, labels=labels)
    found = MULTI_LABEL_CLASSIFICATION.summed_loss(outputs, labels)
    assert found.item() == pytest.approx(6 * outputs.loss.item(), rel=1e-6)


def test_a_row_without_labels_has_neither_loss_nor_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([[math.nan] * 3, [1.0, 0.0, 1.0]])
    loss = MULTI_LABEL_CLASSIFICATION.summed_loss(SimpleNamespace(logits=logits), labels)
    loss.backward()
    assert loss.item() == pytest.approx(3 * math.log(2), rel=1e-6)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0] * 3, [-0.5, 0.5, -0.5]]


def test_samples_and_predictions_name_the_labels_that_reach_the_threshold() -> None:
    inputs, labels = _collated(_encoded(["a an", "and"], ['["label-2","label-1"]', "[]"]))
    labels[1] = math.nan
    # sigmoid(1) is 0.73, sigmoid(0.2) is 0.55: below the threshold of 0.6.
    logits = torch.tensor([[1.0, 0.2, 1.0], [0.2, 0.2, 0.2]])
    fed = Fed(inputs, labels, SimpleNamespace(logits=logits))
    given = MULTI_LABEL_CLASSIFICATION.answer(SETTING, fed)
    samples = MULTI_LABEL_CLASSIFICATION.samples(SETTING, fed, given)
    assert samples == [Sample("a an", "label-1, label-2", "label-0, label-2")]
    found = MULTI_LABEL_CLASSIFICATION.predictions(SETTING, given)
    assert found["predicted_labels"] == [["label-0", "label-2"], []]
    assert found["probabilities"] == logits.sigmoid().tolist()
    scores = MULTI_LABEL_CLASSIFICATION.build_scores(SETTING)
    scores.update(given, torch.tensor([True, False]))
    assert scores.compute().metrics["micro_f1"] == 0.5


def _write(path: Path, rows: int, seed: int) -> str:
    """Write texts that have a label for each of three words in them."""
    source, lines = random.Random(seed), []
    for number in range(rows):
        words = [*source.sample(COMMON_WORDS.split(), k=12), f"topic{number}a"]
        labels = [word for word in ("and", "the", "with") if word in words]
        lines.append(json.dumps({"text": " ".join(words), "labels": labels}))
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize("kind", with_proofs("bert", "distilbert", "roberta", "modernbert", "gpt2"))
def test_whole_runs_agree(tmp_path: Path, kind: str) -> None:
    # Outputs that hardly vary are put in order by rounding.
    make_model_folder(tmp_path / "model", kind, spread=0.3)
    recipe = tiny_recipe(
        tmp_path,
        task={"kind": "multi_label_classification"},
        data={
            "train": _write(tmp_path / "train.jsonl", 45, 0),
            "validation": _write(tmp_path / "validation.jsonl", 11, 1),
            "test": _write(tmp_path / "test.jsonl", 11, 2),
        },
        epochs=1,
    )
    proved = prove_task(recipe, pa.table({"text": ["a an and", "topic1a"]}), brief=True)
    assert [len(row) for row in proved.predictions["probabilities"]] == [3, 3]
    assert 0.0 <= proved.told.ended.metrics["roc_auc"] <= 1.0
