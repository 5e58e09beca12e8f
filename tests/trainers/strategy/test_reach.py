"""Which parameters a loss depends on."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from trainers.strategy.reach import forget_graph, unreached


class Branches(nn.Module):
    """Has a part that is used, one that is not, one that is used without effect on the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.cut = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.again = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = self.frozen(self.used(values)) + self.cut(values).detach()
        return torch.as_tensor(checkpoint(self.again, inner, use_reentrant=False))


def test_what_gets_no_gradient_is_what_is_not_reached() -> None:
    model = Branches()
    loss = model(torch.ones(3, 2)).sum()
    found = unreached(model, loss)
    loss.backward()
    without = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert found == without == {f"{m}.{p}" for m in ("unused", "cut") for p in ("weight", "bias")}


def test_a_loss_without_a_graph_reaches_nothing() -> None:
    model = nn.Linear(2, 2)
    assert unreached(model, torch.zeros(())) == {"weight", "bias"}


def test_what_zero_3_waits_for_is_forgotten() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].ds_grads_remaining = 3
    forget_graph(model)
    assert model[0].ds_grads_remaining == 0 and not hasattr(model, "ds_grads_remaining")
