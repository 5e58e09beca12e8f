"""Find out which parameters a loss depends on, from the graph of its forward pass."""

from typing import Any

import torch
from torch import nn


def unreached(model: nn.Module, loss: torch.Tensor) -> frozenset[str]:
    """Name the parameters that learn and of which the loss is no function.

    They get no gradient. Nothing is computed, so it is the same under every ZeRO stage.
    """
    found: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)  # of a leaf, which accumulates its gradient
        if variable is not None:
            found.add(id(variable))
        waiting += [below for below, _ in node.next_functions]
    return frozenset(
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in found
    )


def forget_graph(model: nn.Module) -> None:
    """Let ZeRO-3 forget a forward pass that no backward pass follows.

    DeepSpeed 0.19.8 counts in each module the outputs whose gradient it waits for.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "ds_grads_remaining"):
            module.ds_grads_remaining = 0
