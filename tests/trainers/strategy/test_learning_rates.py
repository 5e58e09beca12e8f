"""Learning rate courses against transformers' own."""

import pytest
import torch
from torch import nn
from transformers import get_scheduler

from configs.model_sections import Optimizer, Schedule
from trainers.strategy.learning_rates import (
    learning_rate_factor,
    parameter_groups,
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
    assert [id(p) for p in groups[1]["params"]] == [  # type: ignore[attr-defined]
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias)
    ]


def test_a_group_without_parameters_is_left_out() -> None:
    model = nn.Linear(3, 4, bias=False)
    assert len(parameter_groups(model, Optimizer())) == 1
