"""What a resume may not change."""

from pathlib import Path

from tests.recipes import tiny_recipe
from trainers.arithmetic import arithmetic, changed_arithmetic


def test_what_changes_numbers_is_named(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    saved = arithmetic(recipe)
    assert changed_arithmetic(saved, recipe) == []
    assert changed_arithmetic(saved, tiny_recipe(tmp_path, freezing={"prefix_cache": "on"})) == []
    other = tiny_recipe(
        tmp_path, freezing={"layer_decay": 2.6}, schedule={"per": "phase"}, zero={"stage": 3}
    )
    assert changed_arithmetic(saved, other) == ["schedule", "freezing"]


def test_a_commit_from_before_there_was_pooling_goes_on(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    old = arithmetic(recipe)
    del old["model"]["pooling"]
    assert changed_arithmetic(old, recipe) == []
    path = recipe.model.path
    pooled = tiny_recipe(tmp_path, model={"path": path, "pooling": "mean"})
    assert changed_arithmetic(old, pooled) == ["model"]


def test_a_commit_from_before_there_were_phases_goes_on(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, freezing={"last": 1})
    old = arithmetic(recipe)
    old["freezing"] = {k: old["freezing"][k] for k in ("mode", "last", "train", "embeddings")}
    old["schedule"] = {
        k: old["schedule"][k] for k in ("name", "warmup_steps", "warmup_ratio", "final_ratio")
    }
    assert changed_arithmetic(old, recipe) == []
    assert changed_arithmetic(old, tiny_recipe(tmp_path, freezing="head")) == ["freezing"]
