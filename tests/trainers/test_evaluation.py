"""An evaluation sees every row once, whatever the ranks, and computes what plain torch computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from configs.errors import RecipeError, TrainingError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_csv
from trainers.data.preparation import prepare
from trainers.data.store import open_split
from trainers.evaluation import evaluate_split, metric_value
from trainers.finetune import finetune
from trainers.place import Place
from trainers.session import Session


def _open(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> Session:
    place = Place(rank, world_size, rank, f"{recipe.storage}/run{world_size}", data_dir, 1, "cpu")
    return Session(recipe, place, lambda record: None)


def _evaluate(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str
) -> list[tuple[int, dict[str, float], int]]:
    answers = []
    for recipe in recipes:
        evaluation = evaluate_split(_open(rank, world_size, recipe, data_dir), "test")
        answers.append((evaluation.rows, evaluation.metrics, len(evaluation.samples)))
    return answers


def _row_by_row(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> dict[str, float]:
    """Feed one row after another to the bare model and let scikit-learn judge."""
    session = _open(rank, world_size, recipe, data_dir)
    split = open_split(data_dir, session.manifest, "test")
    collate = session.collate()
    losses, truth, said = [], [], []
    session.model.eval()
    for row in range(split.info.rows):
        inputs, labels = collate(split.read(np.array([row])))
        with torch.no_grad():
            logits = session.model(**inputs).logits
        losses.append(torch.nn.functional.cross_entropy(logits, labels).item())
        truth.append(int(labels))
        said.append(int(logits.argmax()))
    return {
        "loss": float(np.mean(losses)),
        "accuracy": float(accuracy_score(truth, said)),
        "macro_f1": float(f1_score(truth, said, labels=range(3), average="macro", zero_division=0)),
    }


def test_metrics_are_those_of_plain_torch_at_any_number_of_ranks(tmp_path: Path) -> None:
    # 17 rows in 4 lanes, 3 at a time: lanes of 4 and 5 rows, and microbatches of all sizes.
    recipes = [
        tiny_recipe(tmp_path, batch={"eval_microbatch_size": 3}, zero={"stage": stage})
        for stage in (0, 3)
    ]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    expected = on_ranks(1, _row_by_row, recipes[0], data_dir)[0]
    for world_size in (1, 4):
        by_rank = on_ranks(world_size, _evaluate, recipes, data_dir)
        for rank, answers in enumerate(by_rank):
            for rows, metrics, samples in answers:
                assert rows == 17
                assert {k: metrics[k] for k in expected} == pytest.approx(expected, rel=1e-5)
                # Rank 0 shows up to 8 of its rows; on 4 ranks it has the 4 of lane 0.
                assert samples == (min(8, 16 // world_size) if rank == 0 else 0)


def _hits_by_source(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> dict[str, float]:
    """Give the accuracy of each source, feeding one row after another to the bare model."""
    session = _open(rank, world_size, recipe, data_dir)
    split = open_split(data_dir, session.manifest, "test")
    collate = session.collate()
    hits: dict[str, list[bool]] = {}
    session.model.eval()
    for row in range(split.info.rows):
        read = split.read(np.array([row]))
        inputs, labels = collate(read)
        with torch.no_grad():
            said = int(session.model(**inputs).logits.argmax())
        name = session.manifest.sources[read["source"][0].as_py()]
        hits.setdefault(f"accuracy/{name}", []).append(said == int(labels))
    return {name: float(np.mean(found)) for name, found in hits.items()}


def test_each_source_of_a_mix_has_metrics_of_its_own(tmp_path: Path) -> None:
    tiny_recipe(tmp_path)
    mix = [
        {"path": str(tmp_path / "test.csv"), "name": "forum"},
        {"path": str(make_csv(tmp_path / "mail.csv", rows=9, seed=5)), "name": "mail"},
    ]
    recipe = tiny_recipe(tmp_path, data={"test": mix})
    data_dir = prepare(recipe, recipe.storage).data_dir
    expected = on_ranks(1, _hits_by_source, recipe, data_dir)[0]
    assert set(expected) == {"accuracy/forum", "accuracy/mail"}
    for _, metrics, _ in on_ranks(2, _evaluate, [recipe], data_dir)[1]:
        assert {k: metrics[k] for k in expected} == pytest.approx(expected, rel=1e-6)
        assert "macro_f1/mail" in metrics
    plain = tiny_recipe(tmp_path)
    made = prepare(plain, plain.storage).data_dir
    for _, metrics, _ in on_ranks(2, _evaluate, [plain], made)[0]:
        assert not any("/" in name for name in metrics)


def _evaluate_the_wrong_set(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> str:
    session = _open(rank, world_size, recipe, data_dir)
    info = session.manifest.splits["test"].model_copy(update={"id_sum": "0" * 16})
    splits = {**session.manifest.splits, "test": info}
    session.manifest = session.manifest.model_copy(update={"splits": splits})
    try:
        evaluate_split(session, "test")
    except TrainingError as error:
        return str(error)
    return "went on"


def test_rows_that_are_not_those_of_the_manifest_fail_on_all_ranks(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    for said in on_ranks(2, _evaluate_the_wrong_set, recipe, data_dir):
        assert said.startswith("evaluation of test saw 17 rows of 17, or not the same ones")


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    found = {"loss": 1.0, "accuracy": 0.5}
    with pytest.raises(RecipeError, match="'f1' is no evaluated metric"):
        metric_value(found, "f1")
    assert metric_value(found, "accuracy") == 0.5


def _notes_of_one_class(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> list[Any]:
    """Evaluate rows of one class twice; gives the metrics and what was noted."""
    records: list[Any] = []
    run_dir = f"{recipe.storage}/{recipe.name}"
    place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
    finetune(recipe, place, records.append, lambda: False)
    metrics = [r.metrics for r in records if r.kind == "evaluation"]
    return [*metrics, *(r.text for r in records if r.kind == "note" and "undefined" in r.text)]


def test_what_rows_of_one_class_have_none_of_is_null_and_told_once(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path,
        data={"validation": str(tmp_path / "one.csv"), "test": None},
        early_stopping={"metric": "roc_auc", "patience": 9},
    )
    lines = (tmp_path / "validation.csv").read_text().splitlines(keepends=True)
    ours = [line for line in lines[1:] if "label-1" in line]
    (tmp_path / "one.csv").write_text("".join([lines[0], *ours]))
    data_dir = prepare(recipe, recipe.storage).data_dir
    first, second, *said = on_ranks(2, _notes_of_one_class, recipe, data_dir)[0]  # is told all
    for metrics in (first, second):
        assert metrics["roc_auc"] is metrics["average_precision"] is None
        assert metrics["accuracy"] is not None
    neither, why, none = said
    assert why.startswith("validation: roc_auc and average_precision are undefined: each label")
    assert neither.startswith("roc_auc is undefined for these rows of validation: such an")
    assert none.startswith("roc_auc was undefined at every evaluation of validation: nothing was")
