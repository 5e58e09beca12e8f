"""Which labels count, and what of a model's outputs."""

from types import SimpleNamespace

import torch

from trainers.tasks.judging import count_targets, is_target, logits_of


def test_whole_numbers_ignore_minus_100_and_others_nan() -> None:
    assert is_target(torch.tensor([0, -100, 3])).tolist() == [True, False, True]
    assert is_target(torch.tensor([-100.0, float("nan")])).tolist() == [True, False]


def test_targets_are_counted_as_they_are_told() -> None:
    for labels in (
        torch.tensor([0, -100, 3]),
        torch.tensor([[-100.0, float("nan")], [1.0, 0.0]]),
        torch.full((2,), float("nan")),
    ):
        assert count_targets(labels) == int(is_target(labels).sum())


def test_logits_are_taken_as_the_head_shapes_them() -> None:
    logits = torch.zeros(2, 3, 4)
    assert logits_of(SimpleNamespace(logits=logits, loss=None)) is logits
