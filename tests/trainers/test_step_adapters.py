"""Steps with adapters against plain torch and peft: LoRA and DoRA, ragged batches, two ranks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.tiny import make_model_folder
from tests.trainers.adapter_recipes import DORA, LORA, RATE, adapter_recipe
from tests.trainers.live_weights import copy_weights
from tests.trainers.ragged import LANES, make_microbatch, summed_loss, take_plain_steps
from tests.trainers.runs import all_or
from trainers.engine import build_engine, set_learning_rate, start_distributed
from trainers.model import load_model
from trainers.place import Place
from trainers.step import count_batch, take_step
from trainers.strategy.freezing import mark_trainable
from trainers.strategy.phases import choose_phases

NAMES = ("a", "b", "c")
STEPS = 4


def _ours(rank: int, world_size: int, recipes: list[Recipe]) -> list[Any]:
    """Take steps; gives the weights before, the losses, and the weights after."""
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        torch.manual_seed(rank)  # what the process drew before must not matter
        model, head = load_model(recipe, NAMES, world_size)
        (phase,) = choose_phases(model, recipe.freezing, head, 1)
        mark_trainable(model, phase.trainable)
        before = copy_weights(model, recipe.zero.stage)
        engine = build_engine(model, recipe, Place(rank, world_size, rank, "", "", 1, "cpu"))
        set_learning_rate(engine, RATE)
        losses = []
        for step in range(STEPS):
            mine = [make_microbatch(step, lane) for lane in range(rank, LANES, world_size)]
            counts = count_batch(mine, stop=False, commit=False)
            losses.append(take_step(engine, mine, counts, summed_loss, recipe.seed).loss)
        answers.append((before, losses, copy_weights(engine.model, engine.stage)))
        engine.handle.destroy()
    return answers


def _plain(recipe: Recipe, begin: dict[str, torch.Tensor]) -> tuple[list[float], dict[str, Any]]:
    """Take the same steps with peft and torch alone, the whole global batch in one process."""
    lora = recipe.freezing.lora
    assert lora is not None
    model = AutoModelForSequenceClassification.from_pretrained(recipe.model.path, num_labels=3)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        use_dora=lora.dora,
        use_rslora=lora.rslora,
        target_modules=r".*encoder\.layer.*\.(query|key|value|dense)",
        modules_to_save=["classifier"],
    )
    wrapped = get_peft_model(model, config)
    saved = {f"base_model.model.{name}": weight for name, weight in begin.items()}
    inner = "base_model.model.classifier."
    names = dict.fromkeys(saved) | {
        f"{inner}{kind}": f"{inner}modules_to_save.default.{kind}" for kind in ("weight", "bias")
    }
    to_load = {new or old: saved[old] for old, new in names.items()}
    missing, unexpected = wrapped.load_state_dict(to_load, strict=False)
    assert not unexpected
    assert all("original_module" in name for name in missing)
    losses, _ = take_plain_steps(wrapped.train(), recipe.optimizer, STEPS, RATE)
    found = {name: p.detach() for name, p in wrapped.named_parameters()}
    return losses, {old: found[f"{new or old}"] for old, new in names.items()}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_steps_are_those_of_plain_torch_and_peft(tmp_path: Path) -> None:
    make_model_folder(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    recipes = [
        adapter_recipe(tmp_path, "plain", stage, {**lora, "dropout": 0.0}, sliced_above=0)
        for lora, stages in ((LORA, all_or(0, 2)), (DORA, all_or(3)))
        for stage in stages
    ]
    for recipe, (begin, losses, after) in zip(recipes, on_ranks(2, _ours, recipes)[0], strict=True):
        expected, weights = _plain(recipe, begin)
        assert losses == pytest.approx(expected, rel=1e-6), recipe.zero.stage
        for name, weight in after.items():
            theirs = weights[f"base_model.model.{name}"]
            # As for whole weights: a gradient near 0 may turn Adam's first steps of RATE around.
            assert torch.allclose(weight, theirs, rtol=0, atol=1e-3 * RATE), name
        moved = {name for name, weight in after.items() if not weight.equal(begin[name])}
        assert moved == {name for name in after if "lora_" in name or "classifier" in name}
