"""Learning rate courses against transformers' own."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, get_scheduler

from configs.freezing_sections import Freezing
from configs.model_sections import Optimizer, Schedule
from tests.tiny import make_model_folder
from trainers.strategy.learning_rates import (
    learning_rate_factor,
    parameter_groups,
    rate_scales,
    warmup_steps,
)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")],
)
@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_the_course_is_that_of_transformers(name: str, theirs: str, warmup: int) -> None:
    total = 23
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(theirs, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    schedule = Schedule(name=name, warmup_steps=warmup)
    for step in range(total):
        expected = scheduler.get_last_lr()[0]
        assert learning_rate_factor(schedule, step, total) == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_warmup_is_counted_or_a_share() -> None:
    assert warmup_steps(Schedule(warmup_steps=5), 100) == 5
    assert warmup_steps(Schedule(warmup_ratio=0.06), 99) == 6  # 5.94 rounded up
    assert warmup_steps(Schedule(), 100) == 0


def test_the_final_ratio_is_what_is_left() -> None:
    schedule = Schedule(name="cosine", final_ratio=0.1)
    assert learning_rate_factor(schedule, 10, 10) == pytest.approx(0.1)
    assert learning_rate_factor(schedule, 5, 10) == pytest.approx(0.55)  # halfway from 1 to 0.1


def test_biases_norms_and_frozen_parameters_are_not_decayed() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    model[2].requires_grad_(False)
    groups = parameter_groups(model, Optimizer(weight_decay=0.1))
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0]
    assert groups[0]["params"] == [model[0].weight]
    assert [id(p) for p in groups[1]["params"]] == [
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias)
    ]


def test_a_group_without_parameters_is_left_out() -> None:
    model = nn.Linear(3, 4, bias=False)
    assert len(parameter_groups(model, Optimizer())) == 1


def test_the_slanted_triangle_is_that_of_the_paper() -> None:
    # Howard and Ruder 2018, equation 3: T = 100, cut_frac = 0.1, ratio = 32, so cut = 10.
    schedule = Schedule(name="slanted_triangular")
    for step in range(100):
        share = step / 10 if step < 10 else 1 - (step - 10) / (10 * (1 / 0.1 - 1))
        expected = (1 + share * 31) / 32
        assert learning_rate_factor(schedule, step, 100) == pytest.approx(expected, abs=1e-12)
    short = [learning_rate_factor(schedule, step, 7) for step in range(7)]
    assert short[0] == 1 / 32
    assert short[1] == 1.0
    assert min(short) >= 1 / 32


def test_cosine_with_restarts_is_that_of_transformers() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    options = {"num_cycles": 3}
    scheduler = get_scheduler("cosine_with_restarts", optimizer, 2, 23, options)
    schedule = Schedule(name="cosine_restarts", warmup_steps=2, cycles=3)
    for step in range(23):
        expected = scheduler.get_last_lr()[0]
        assert learning_rate_factor(schedule, step, 23) == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("decay", "factor"), [(2.6, 1 / 2.6), (0.9, 0.9)])
def test_each_block_has_a_rate_of_its_own(decay: float, factor: float, tmp_path: Path) -> None:
    path = make_model_folder(tmp_path / "m", layers=2, num_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(path)
    head = frozenset({"classifier.weight", "classifier.bias"})
    freezing = Freezing(layer_decay=decay, head_learning_rate=0.3)
    scales = rate_scales(model, freezing, head, 0.1)
    assert scales["classifier.bias"] == pytest.approx(3.0)
    assert scales["bert.pooler.dense.weight"] == 1.0
    for name, depth in (
        ("bert.encoder.layer.1.output.dense.weight", 1),
        ("bert.encoder.layer.0.output.dense.weight", 2),
        ("bert.embeddings.LayerNorm.bias", 3),
    ):
        assert scales[name] == pytest.approx(factor**depth)
    assert rate_scales(model, Freezing(), head, 0.1) == {}
    groups = parameter_groups(model, Optimizer(weight_decay=0.1), scales)
    assert len(groups) == 10  # head, pooler, two blocks and embeddings, decayed and not
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))


def test_what_began_to_learn_later_has_groups_of_its_own() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    groups = parameter_groups(model, Optimizer(), None, {"0.weight": 7, "0.bias": 7})
    assert [g["born"] for g in groups] == [0, 0, 7, 7]
