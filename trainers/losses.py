"""The loss that training minimises; evaluation's plain loss is the task's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from configs.balance_sections import Balance, Loss
from configs.schema import Recipe
from trainers.data.class_balance import class_weights
from trainers.own_code import own_loss
from trainers.tasks import functions_of
from trainers.tasks.judging import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss


def training_loss(recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
    """Give the loss that training minimises, summed over the targets: that of evaluation, or more.

    Raises RecipeError for options that do not fit the labels, and for a loss of the recipe's own
    that is not there.
    """
    if recipe.loss.function is not None:
        return own_loss(recipe.loss.function)
    task = functions_of(recipe.task)
    if task.training_loss is None:
        return task.summed_loss
    return task.training_loss(recipe, manifest)


def build_class_loss(
    balance: Balance, loss: Loss, label_names: Sequence[str], class_counts: Sequence[int]
) -> "SummedLoss":
    """Give the loss that `balance` and `loss` ask for, summed over the targets, in fp32.

    focal: Lin et al. 2017 (https://arxiv.org/abs/1708.02002), with the classes' weights as alpha;
    logit_adjusted: Menon et al. 2021 (https://arxiv.org/abs/2007.07314). Label smoothing is that of
    torch's cross_entropy. Raises RecipeError for a balance that does not name the labels.
    """
    import torch
    from torch.nn import functional

    smoothing, gamma = loss.label_smoothing, balance.gamma
    weighs = balance.method in ("weighted_loss", "focal")
    weights = torch.from_numpy(class_weights(balance, label_names, class_counts)).float()
    shift = torch.zeros(len(label_names))
    if balance.method == "logit_adjusted":
        shift = balance.tau * _log_shares(class_counts)

    def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
        logits = outputs.logits.float() + shift.to(labels.device)  # (rows, classes)
        losses = functional.cross_entropy(
            logits,
            labels,
            reduction="none",
            ignore_index=IGNORED,
            label_smoothing=smoothing,
        )
        known = labels.clamp(min=0)
        if balance.method == "focal":
            probability = logits.softmax(-1).gather(-1, known[:, None])[:, 0]
            losses = losses * (1 - probability) ** gamma
        if weighs:
            losses = losses * weights.to(labels.device)[known]
        return losses.sum()

    return summed_loss


def _log_shares(class_counts: Sequence[int]) -> "Tensor":
    """Give the log of each class's share of the rows; one without rows counts as half a row."""
    import torch

    counts = torch.tensor(class_counts, dtype=torch.float64).clamp(min=0.5)
    return (counts / counts.sum()).log().float()
