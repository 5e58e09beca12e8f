"""Give each optimizer step its learning rate; which parameters learn stands in freezing.py."""

import math

from torch import nn

from configs.model_sections import Optimizer, Schedule


def warmup_steps(schedule: Schedule, total_steps: int) -> int:
    """Count the optimizer steps over which the rate rises."""
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    return math.ceil((schedule.warmup_ratio or 0.0) * total_steps)


def learning_rate_factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Give the share of the peak rate that optimizer step `step` (from 0) uses.

    The same courses as transformers.get_scheduler: the first of several warmup steps uses 0.
    """
    warmup = warmup_steps(schedule, total_steps)
    if step < warmup:
        return step / max(1, warmup)
    if schedule.name == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    left = 1.0 - done if schedule.name == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return schedule.final_ratio + (1.0 - schedule.final_ratio) * left


def parameter_groups(model: nn.Module, optimizer: Optimizer) -> list[dict[str, object]]:
    """Group the trainable parameters: matrices are decayed, biases and norm weights are not.

    Groups without parameters are left out: DeepSpeed 0.19.8 raises IndexError for them on ZeRO-1
    and -2.
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            # ZeRO-3 empties the parameter itself and keeps its shape beside it.
            shape = parameter.ds_shape if hasattr(parameter, "ds_shape") else parameter.shape
            (decayed if len(shape) >= 2 else others).append(parameter)
    groups = [(decayed, optimizer.weight_decay), (others, 0.0)]
    return [{"params": found, "weight_decay": decay} for found, decay in groups if found]
