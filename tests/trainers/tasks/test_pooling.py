"""What a head reads, by the recipe and by the folder; and whole runs of such heads."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from configs.errors import RecipeError
from configs.records import Recorded
from configs.schema import Model, Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_csv
from tests.trainers.runs import assert_same_bits, read_export, run_all
from tests.trainers.task_runs import prove_task
from trainers.data.preparation import prepare
from trainers.tasks.pooled_classifier import POOLING as POOLING_KEY
from trainers.tasks.pooling import (
    CONFIG_KEY,
    pooling_modes,
    pooling_of,
    refuse_odd_states,
    set_pooling,
)

MEAN = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
BOTH = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}


def folder(path: Path, pooling: Any, modules: tuple[str, ...] = ("Transformer", "Pooling")) -> str:
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    listed = [{"type": f"sentence_transformers.models.{name}"} for name in modules]
    (path / "modules.json").write_text(json.dumps(listed))
    return str(path)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (MEAN, "mean"),
        (CLS, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_a_folder_says_how_it_pools(tmp_path: Path, pooling: Any, expected: str) -> None:
    path = folder(tmp_path, pooling, ("Transformer", "Pooling", "Normalize"))
    assert pooling_of(Model(path=path, pooling="folder")) == expected
    assert pooling_of(Model(path=path, pooling="mean")) == "mean"
    assert pooling_of(Model(path=path)) is None


@pytest.mark.parametrize(
    ("pooling", "modules", "said"),
    [
        (BOTH, ("Pooling",), "asks for cls_token with mean_tokens. Set it to mean, cls or own"),
        ({"pooling_mode_max_tokens": True}, ("Pooling",), "asks for max_tokens"),
        ({}, ("Pooling",), "asks for nothing"),
        (MEAN, ("Transformer", "Pooling", "Dense"), "also has Dense, which a head does not stand"),
        ([], ("Pooling",), "has no 1_Pooling/config.json"),
    ],
)
def test_what_a_folder_says_may_be_out_of_reach(
    tmp_path: Path, pooling: Any, modules: tuple[str, ...], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        pooling_of(Model(path=folder(tmp_path, pooling, modules), pooling="folder"))


def test_a_folder_that_says_nothing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"has no 1_Pooling/config\.json"):
        pooling_of(Model(path=str(tmp_path), pooling="folder"))
    folder(tmp_path, MEAN)
    (tmp_path / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(RecipeError, match=r"is no JSON\. Copy the model again"):
        pooling_of(Model(path=str(tmp_path), pooling="folder"))
    assert pooling_modes({"pooling_mode": ["mean", "cls"]}) == ["mean", "cls"]


def test_a_model_that_cannot_pool_is_refused_by_the_key() -> None:
    from transformers import AutoConfig

    asked = Model(path="org/t5", pooling="mean")
    with pytest.raises(RecipeError, match=r"model\.pooling is mean but T5Model has a decoder"):
        set_pooling(AutoConfig.for_model("t5"), asked)


class Odd(torch.nn.Module):
    """Gives a state for every second token."""

    def forward(self, input_ids: torch.Tensor) -> Any:
        return SimpleNamespace(last_hidden_state=torch.zeros(len(input_ids), 2, 3))


def test_states_that_are_not_of_tokens_are_refused_at_the_first_row() -> None:
    model = Odd()
    refuse_odd_states(SimpleNamespace(base_model=model))
    model(input_ids=torch.zeros(1, 2))
    with pytest.raises(RecipeError, match="needs the last hidden state of each token, which Odd"):
        model(input_ids=torch.zeros(1, 4))


def test_the_key_of_the_config_is_one() -> None:
    assert CONFIG_KEY == POOLING_KEY


def test_other_tasks_and_own_classes_have_no_pooling(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, model={"pooling": "mean"})
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    for changes, said in (
        ({"task": {"kind": "sentence_embedding"}}, "model.pooling is for tasks with one answer"),
        ({"model": {"path": "m", "pooling": "cls", "implementation": "a:B"}}, "Keep one"),
    ):
        with pytest.raises(ValueError, match=said):
            Recipe.model_validate(recipe.model_dump(mode="json") | changes)


HEAD = {"mode": "head", "prefix_cache": "off"}
KINDS: dict[str, dict[str, Any]] = {
    "head": {"freezing": HEAD, "model": {"pooling": "mean"}},
    "lp_ft": {"freezing": {"preset": "lp_ft"}, "model": {"pooling": "cls"}},
    "gradual": {"freezing": {"gradual": True}, "model": {"pooling": "mean"}, "epochs": 4},
    "lora": {"freezing": {"lora": {"rank": 2}}, "model": {"pooling": "mean"}},
    "full": {"freezing": {"mode": "full"}, "model": {"pooling": "mean", "dropout": 0.1}},
}


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_strategy_trains_such_a_head(tmp_path: Path, kind: str) -> None:
    recipe = tiny_recipe(tmp_path, **KINDS[kind])
    cells = pa.table({"text": ["the topic1a of", "she", "with the topic2b and a topic2c"]})
    prove_task(recipe, cells, brief=kind not in ("head", "lora"))


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("task", ["text_regression", "multi_label_classification"])
def test_other_tasks_of_whole_texts_train_such_a_head(tmp_path: Path, task: str) -> None:
    columns = ("text", "value" if task == "text_regression" else "labels")
    for seed, (name, rows) in enumerate((("train", 61), ("validation", 14), ("test", 17))):
        path = make_csv(tmp_path / f"{name}.csv", rows, seed=seed, columns=columns)
        if task == "text_regression":
            path.write_text(path.read_text().replace("label-", "0."))
    recipe = tiny_recipe(tmp_path, task={"kind": task}, model={"pooling": "cls"})
    prove_task(recipe, pa.table({"text": ["the topic1a of", "she"]}), brief=True)


@pytest.mark.proof
@pytest.mark.slow
def test_recorded_blocks_change_no_bit(tmp_path: Path) -> None:
    recipes = [
        tiny_recipe(
            tmp_path,
            name=f"cache-{cache}",
            model={"pooling": "mean"},
            freezing={"mode": "head", "prefix_cache": cache},
            batch={"pad_to_multiple_of": 32},
        )
        for cache in ("on", "off")
    ]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    cached, plain = on_ranks(1, run_all, recipes, data_dir, 1, 0)[0]
    (recorded,) = [r for r in cached.records if isinstance(r, Recorded)]
    assert recorded.blocks == recorded.num_blocks
    assert cached.losses() == plain.losses()
    assert_same_bits(read_export(recipes[0]), read_export(recipes[1]))
