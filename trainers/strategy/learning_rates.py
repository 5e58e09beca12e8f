"""Give each optimizer step its learning rate; which parameters learn stands in freezing.py."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from configs.freezing_sections import Freezing
from configs.model_sections import Optimizer, Schedule
from trainers.strategy.freezing import embedding_names, find_blocks


def warmup_steps(schedule: Schedule, total_steps: int) -> int:
    """Count the optimizer steps over which the rate rises."""
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    return math.ceil((schedule.warmup_ratio or 0.0) * total_steps)


def learning_rate_factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """Give the share of the peak rate that optimizer step `step` (from 0) uses.

    The same courses as transformers.get_scheduler: the first of several warmup steps uses 0. For
    slanted_triangular see `slanted_triangle`.
    """
    if schedule.name == "slanted_triangular":
        return slanted_triangle(step, total_steps, schedule.cut_fraction, schedule.ratio)
    warmup = warmup_steps(schedule, total_steps)
    if step < warmup:
        return step / max(1, warmup)
    if schedule.name == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    if schedule.name == "linear":
        left = 1.0 - done
    else:
        cycles = schedule.cycles if schedule.name == "cosine_restarts" else 1
        around = cycles * done % 1.0 if done < 1.0 else 1.0
        left = 0.5 * (1.0 + math.cos(math.pi * around))
    return schedule.final_ratio + (1.0 - schedule.final_ratio) * left


def slanted_triangle(step: int, total_steps: int, cut_fraction: float, ratio: float) -> float:
    """Give the share of the peak rate at a step (Howard and Ruder 2018, equation 3).

    It falls over `total_steps - cut`, which is the paper's `cut * (1 / cut_fraction - 1)` where the
    cut is whole, and ends at `1 / ratio` also where it is not.
    """
    cut = max(1, math.floor(total_steps * cut_fraction))
    share = step / cut if step < cut else 1.0 - (step - cut) / max(1, total_steps - cut)
    return (1.0 + max(0.0, share) * (ratio - 1.0)) / ratio


def rate_scales(
    model: nn.Module, freezing: Freezing, head: frozenset[str], peak_rate: float
) -> dict[str, float]:
    """Give each parameter's share of the peak rate; empty where all have the same.

    With `layer_decay` the head and what stands behind the last block has the whole rate, the k-th
    block from the top that of k decays, the embeddings and what stands before the first block one
    decay more (Howard and Ruder 2018, 3.2; layer-wise decay of ELECTRA).
    """
    scales = {}
    if freezing.layer_decay is not None:
        factor = 1.0 / freezing.layer_decay if freezing.layer_decay > 1 else freezing.layer_decay
        scales = {name: factor**depth for name, depth in _depths(model, head).items()}
    if freezing.head_learning_rate is not None:
        scales |= dict.fromkeys(head, freezing.head_learning_rate / peak_rate)
    return scales


def _depths(model: Any, head: frozenset[str]) -> dict[str, int]:
    """Count for each parameter how many blocks it is away from the output."""
    list_name, blocks = find_blocks(model, "freezing.layer_decay")
    depths, depth = {}, len(blocks) + 1
    embeddings = embedding_names(model)
    for name, _ in model.named_parameters():
        if name.startswith(f"{list_name}."):
            depth = len(blocks) - int(name[len(list_name) + 1 :].split(".", 1)[0])
            depths[name] = depth
        else:
            # Before the first block its own depth, behind the last one 0.
            depths[name] = depth if depth > len(blocks) else 0
    depths |= dict.fromkeys(embeddings, len(blocks) + 1)
    return depths | dict.fromkeys(head, 0)


def parameter_groups(
    model: nn.Module,
    optimizer: Optimizer,
    scales: Mapping[str, float] | None = None,
    born: Mapping[str, int] | None = None,
    idle: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Group the trainable parameters by when they began to learn, by decay and by rate.

    Matrices are decayed; biases, norm weights and what is `idle`, without a gradient, are not.
    `scales` gives shares of the rate (1 where it gives none), `born` the steps done when a
    parameter began to learn: ZeRO keeps Adam's step once per group. Groups without parameters are
    left out: DeepSpeed 0.19.8 raises IndexError for them on ZeRO-1 and -2.
    """
    groups: dict[tuple[int, bool, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            # ZeRO-3 empties the parameter itself and keeps its shape beside it.
            shape = parameter.ds_shape if hasattr(parameter, "ds_shape") else parameter.shape
            birth, scale = (born or {}).get(name, 0), (scales or {}).get(name, 1.0)
            keeps = len(shape) < 2 or name in idle
            key = (birth, keeps, -scale)
            decay = 0.0 if keeps else optimizer.weight_decay
            made = {"params": [], "weight_decay": decay, "scale": scale, "born": birth}
            groups.setdefault(key, made)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
