"""Losses for unequal classes, against plain torch and the papers' formulas."""

from types import SimpleNamespace

import torch
from torch.nn import functional

from configs.balance_sections import Balance, Loss
from trainers.losses import build_class_loss

COUNTS = (80, 15, 5)
LABELS = torch.tensor([0, 2, -100, 1])


def logits() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def loss_of(balance: Balance, loss: Loss | None = None, labels: torch.Tensor = LABELS) -> float:
    summed = build_class_loss(balance, loss or Loss(), ("a", "b", "c"), COUNTS)
    return float(summed(SimpleNamespace(logits=logits()), labels))


def test_without_a_method_it_is_cross_entropy_with_smoothing() -> None:
    expected = functional.cross_entropy(
        logits(), LABELS, reduction="sum", ignore_index=-100, label_smoothing=0.1
    )
    torch.testing.assert_close(
        loss_of(Balance(), Loss(label_smoothing=0.1)), float(expected), rtol=1e-6, atol=0
    )


def test_weights_are_those_of_torch() -> None:
    weights = torch.tensor([100 / 3 / n for n in COUNTS])
    expected = functional.cross_entropy(
        logits(), LABELS, weights, reduction="sum", ignore_index=-100
    )
    torch.testing.assert_close(
        loss_of(Balance(method="weighted_loss")), float(expected), rtol=1e-6, atol=0
    )


def test_focal_weighs_by_what_is_still_wrong() -> None:
    p = logits().softmax(-1)
    rows = [(0, 0), (1, 2), (3, 1)]
    alpha = [100 / 3 / n for n in COUNTS]
    expected = sum(-alpha[c] * (1 - float(p[r, c])) ** 2 * float(p[r, c].log()) for r, c in rows)
    torch.testing.assert_close(loss_of(Balance(method="focal")), expected, rtol=1e-5, atol=0)


def test_logit_adjustment_adds_the_log_of_the_class_shares() -> None:
    shifted = logits() + 1.5 * torch.log(torch.tensor(COUNTS) / 100)
    expected = functional.cross_entropy(shifted, LABELS, reduction="sum", ignore_index=-100)
    balance = Balance(method="logit_adjusted", tau=1.5)
    torch.testing.assert_close(loss_of(balance), float(expected), rtol=1e-6, atol=0)


def test_rows_without_target_count_nothing() -> None:
    nothing = torch.full((4,), -100)
    for method in ("none", "weighted_loss", "focal", "logit_adjusted"):
        balance = Balance.model_validate(method)
        assert loss_of(balance, Loss(label_smoothing=0.1), nothing) == 0.0
