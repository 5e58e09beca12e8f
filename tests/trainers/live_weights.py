"""Reads the weights of a live model, whole on any ZeRO stage; exports have a reader in runs."""

import torch
from torch import nn

from trainers.engine import gathered


def copy_weights(model: nn.Module, stage: int) -> dict[str, torch.Tensor]:
    """Collective: every rank calls this. Copy all weights of a model that runs on a ZeRO stage."""
    weights = {}
    for name, parameter in model.named_parameters():
        with gathered(stage, parameter):
            weights[name] = parameter.detach().clone()
    return weights
