"""Own code that would go wrong is refused on all ranks, before a step is taken."""

from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny_families import make_encoder
from tests.trainers.runs import refusals
from trainers import storage
from trainers.data.preparation import prepare

HERE = "tests.own_example"
REFUSED = {
    "mean": "and the same for twice as many: it is a mean. Return the sum over the targets",
    "hasty": "gave a loss of nan, or a gradient that is not finite, for rows without targets",
    "careless": "for rows without targets, where the sum is 0. Leave out labels of -100",
    "rows": "Return the sum over the targets, a tensor of one number without dimensions",
    "numb": "gave a loss without gradient",
    "broken": "raised ZeroDivisionError: no rows. Correct the function",
    "nowhere": "gave float nan as nowhere over 14 rows. Return a finite number",
    "wordy": "gave str 'good' as wordy",
    "accuracy": "gave accuracy, which is measured already. Choose another name",
}
METRICS = ("nowhere", "wordy", "accuracy")


def _recipe(folder: Path, name: str) -> Recipe:
    own: dict[str, Any] = {"loss": {"function": f"{HERE}:{name}"}}
    if name in METRICS:
        own = {"task": {"metric": f"{HERE}:{name}"}}
    return tiny_recipe(folder, name=name, max_steps=1, zero={"stage": 3}, **own)


def test_what_would_go_wrong_is_refused_before_anything_trains(tmp_path: Path) -> None:
    recipes = [_recipe(tmp_path, name) for name in REFUSED]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    for said in on_ranks(2, refusals, recipes, data_dir):
        assert len(said) == len(REFUSED)
        for sentence, (name, expected) in zip(said, REFUSED.items(), strict=True):
            assert f"({HERE}:{name})" in sentence
            assert expected in sentence
    for recipe in recipes:
        assert "checkpoints" not in storage.list_names(f"{recipe.storage}/{recipe.name}")


def test_a_model_that_gives_odd_numbers_is_refused(tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "wide": {"model": {"implementation": f"{HERE}:Wide"}},
        "endless": {"model": {"implementation": f"{HERE}:Endless"}},
        "recomputed": {
            "activation_checkpointing": True,
            "model": {"path": str(make_encoder(tmp_path / "mpnet", "mpnet"))},
        },
    }
    recipes = [tiny_recipe(tmp_path, name=name, **way) for name, way in ways.items()]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    (said,) = on_ranks(1, refusals, recipes, data_dir)
    assert "gives 6 numbers a row for 3 labels, whatever its config says" in said[0]
    assert "gives a loss of nan for the first rows. Look at its weights" in said[1]
    assert "mpnet) cannot recompute activations: MPNetForSequenceClassification" in said[2]
