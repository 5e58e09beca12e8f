"""Which labels count."""

import torch

from trainers.tasks.judging import is_target


def test_whole_numbers_ignore_minus_100_and_others_nan() -> None:
    assert is_target(torch.tensor([0, -100, 3])).tolist() == [True, False, True]
    assert is_target(torch.tensor([-100.0, float("nan")])).tolist() == [True, False]
