"""Steps with adapters against plain torch and peft: LoRA and DoRA, ragged batches, two ranks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.tiny import make_model_folder
from tests.trainers.adapter_recipes import DORA, LORA, RATE, adapter_recipe
from tests.trainers.runs import all_or
from trainers.data.batches import Microbatch
from trainers.engine import build_engine, gathered, set_learning_rate, start_distributed
from trainers.model import load_model
from trainers.place import Place
from trainers.step import count_batch, take_step
from trainers.strategy.freezing import mark_trainable
from trainers.strategy.learning_rates import parameter_groups
from trainers.strategy.phases import choose_phases

NAMES = ("a", "b", "c")
LANES, STEPS = 4, 4


def _microbatch(step: int, lane: int) -> Microbatch:
    """Make a microbatch whose size and length differ from lane to lane; one of them is empty."""
    source = torch.Generator().manual_seed(step * 1000 + lane)
    rows, length = (step + lane) % 4, 5 + (step * 3 + lane) % 7
    fed = max(1, rows)
    labels = torch.randint(0, 3, (fed,), generator=source)
    return Microbatch(
        lane=lane,
        epoch=0,
        step=step,
        inputs={"input_ids": torch.randint(5, 30, (fed, length), generator=source)},
        labels=labels if rows else labels.fill_(-100),
        row_ids=np.arange(rows, dtype=np.uint64),
        sources=np.zeros(rows, np.int16),
        num_rows=rows,
        num_targets=rows,
        num_tokens=rows * length,
        num_fed_tokens=fed * length,
    )


def _summed_loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.logits, labels, reduction="sum", ignore_index=-100)


def _weights(model: nn.Module, stage: int) -> dict[str, torch.Tensor]:
    weights = {}
    for name, parameter in model.named_parameters():
        with gathered(stage, parameter):
            weights[name] = parameter.detach().clone()
    return weights


def _ours(rank: int, world_size: int, recipes: list[Recipe]) -> list[Any]:
    """Take steps; gives the weights before, the losses, and the weights after."""
    start_distributed("cpu")
    answers = []
    for recipe in recipes:
        torch.manual_seed(rank)  # what the process drew before must not matter
        model, head = load_model(recipe, NAMES, world_size)
        (phase,) = choose_phases(model, recipe.freezing, head, 1)
        mark_trainable(model, phase.trainable)
        before = _weights(model, recipe.zero.stage)
        engine = build_engine(model, recipe, Place(rank, world_size, rank, "", "", 1, "cpu"))
        set_learning_rate(engine, RATE)
        losses = []
        for step in range(STEPS):
            mine = [_microbatch(step, lane) for lane in range(rank, LANES, world_size)]
            counts = count_batch(mine, stop=False, commit=False)
            losses.append(take_step(engine, mine, counts, _summed_loss, recipe.seed).loss)
        answers.append((before, losses, _weights(engine.model, engine.stage)))
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
    optimizer = torch.optim.AdamW(
        parameter_groups(wrapped, recipe.optimizer), lr=RATE, betas=recipe.optimizer.betas
    )
    losses = []
    for step in range(STEPS):
        microbatches = [_microbatch(step, lane) for lane in range(LANES)]
        targets = sum(m.num_targets for m in microbatches)
        loss = sum(_summed_loss(wrapped.train()(**m.inputs), m.labels) for m in microbatches)
        (loss / targets).backward()
        learning = [p for p in wrapped.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(learning, recipe.optimizer.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach() / targets))
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
