"""The model every rank builds."""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from tests.trainers.live_weights import copy_weights
from trainers.engine import running_stage, start_distributed
from trainers.model import draw_new_parameters, load_model

LABELS = ("a", "b", "c")


def _load(rank: int, world_size: int, recipes: list[Recipe]) -> list[dict[str, torch.Tensor]]:
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        torch.manual_seed(rank)  # what the process drew before must not matter
        model, head = load_model(recipe, LABELS, world_size)
        assert head == {"classifier.weight", "classifier.bias"}
        answers.append(copy_weights(model, running_stage(recipe)))
    return answers


def test_every_stage_and_number_of_ranks_begins_with_the_same_weights(tmp_path: Path) -> None:
    recipes = [tiny_recipe(tmp_path, zero={"stage": stage}) for stage in (0, 3)]
    first = on_ranks(1, _load, recipes[:1])[0][0]
    assert first["classifier.weight"].std() > 0.01
    assert first["classifier.bias"].abs().max() == 0.0
    for by_rank in on_ranks(2, _load, recipes):
        for weights in by_rank:
            assert weights.keys() == first.keys()
            assert all(weights[name].equal(first[name]) for name in first)


def test_adapters_are_the_same_on_every_stage_and_number_of_ranks(tmp_path: Path) -> None:
    asked = {"lora": {"rank": 4, "dora": True}}
    recipes = [tiny_recipe(tmp_path, zero={"stage": n}, freezing=asked) for n in (0, 3)]
    first = on_ranks(1, _load, recipes[:1])[0][0]
    below = "bert.encoder.layer.0.output.dense"
    length = first[f"{below}.lora_magnitude_vector.default.weight"]
    # With B still 0 the magnitude is the length of each row of the weight itself.
    assert length.equal(torch.linalg.norm(first[f"{below}.base_layer.weight"], dim=1))
    for by_rank in on_ranks(2, _load, recipes):
        for weights in by_rank:
            assert weights.keys() == first.keys()
            assert [name for name in first if not weights[name].equal(first[name])] == []


def test_another_seed_draws_another_head_and_nothing_else(tmp_path: Path) -> None:
    recipes = [tiny_recipe(tmp_path, seed=seed) for seed in (0, 1)]
    one, other = on_ranks(1, _load, recipes)[0]
    assert [name for name in one if not one[name].equal(other[name])] == ["classifier.weight"]


def test_vectors_that_are_new_become_biases_and_norms(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model", num_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    norm = "bert.embeddings.LayerNorm"
    draw_new_parameters(model, frozenset({f"{norm}.weight", f"{norm}.bias"}), 0, 5)
    assert set(model.bert.embeddings.LayerNorm.weight.tolist()) == {1.0}
    assert set(model.bert.embeddings.LayerNorm.bias.tolist()) == {0.0}
