"""The end of a run: what is exported is what was trained, or nothing is."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from configs.errors import TrainingError
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import run_all
from trainers import finish, storage
from trainers.data.preparation import prepare
from trainers.manifest import Cursor
from trainers.model_card import Origin
from trainers.place import Place
from trainers.session import Session


def test_what_is_exported_loads_in_the_asked_type(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, model={"dtype": "bfloat16"}, max_steps=1)
    data_dir = prepare(recipe, recipe.storage).data_dir
    on_ranks(1, run_all, [recipe], data_dir, 1, 0)
    folder = f"{recipe.storage}/{recipe.name}/export"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def _export_something_else(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> list[str]:
    """Let one weight go wrong on its way into the folder; returns what the storage holds then."""
    run_dir = storage.join(recipe.storage, recipe.name)
    place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    state = finish.gather_weights(session)
    state["classifier.bias"][0] += 0.001
    fed = finish._live_logits(session)
    origin = Origin(recipe, session.manifest, {})
    with pytest.raises(TrainingError, match=r"logits differ from the live model's by 0\.001"):
        finish._write_and_check(
            session, finish.Target(storage.join(run_dir, "export"), Cursor()), state, fed, origin
        )
    return storage.list_names(run_dir)


def test_an_export_that_answers_otherwise_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    (names,) = on_ranks(1, _export_something_else, recipe, data_dir)
    assert "export" not in names
    assert not [name for name in names if name.startswith(".export")]


def _export_what_changed(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> str:
    """Change a frozen weight as broken memory would, then export; returns what is said."""
    run_dir = storage.join(recipe.storage, recipe.name)
    place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    session.model.get_input_embeddings().weight.data[0, 0] += 1
    with pytest.raises(TrainingError) as refused:
        target = finish.Target(storage.join(run_dir, "export"), Cursor())
        finish.export_model(session, target, {})
    return str(refused.value)


def test_a_frozen_weight_that_changed_ends_the_run(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, freezing={"mode": "head"})
    data_dir = prepare(recipe, recipe.storage).data_dir
    (said,) = on_ranks(1, _export_what_changed, recipe, data_dir)
    assert said.startswith("a frozen weight changed during training, which must never be. Report")
