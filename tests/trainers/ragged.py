"""Makes batches whose lanes differ in size and length, and takes steps on them in plain torch.

What our own steps make of the same batches is left to the tests.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from configs.model_sections import Optimizer
from trainers.data.batches import Microbatch
from trainers.strategy.learning_rates import parameter_groups

LANES = 4


def make_microbatch(step: int, lane: int) -> Microbatch:
    """Make (step + lane) % 4 rows of 5 to 11 tokens; where that is none, one without a label."""
    source = torch.Generator().manual_seed(step * 1000 + lane)
    rows, length = (step + lane) % 4, 5 + (step * 3 + lane) % 7
    fed = max(1, rows)
    labels = torch.randint(0, 3, (fed,), generator=source)
    if rows == 0:
        labels.fill_(-100)
    return Microbatch(
        lane=lane,
        epoch=0,
        step=step,
        inputs={"input_ids": torch.randint(5, 30, (fed, length), generator=source)},
        labels=labels,
        row_ids=np.arange(rows, dtype=np.uint64) + np.uint64(2**63),
        numbers=np.arange(rows),
        sources=np.zeros(rows, np.int16),
        num_rows=rows,
        num_targets=rows,
        num_tokens=rows * length,
        num_fed_tokens=fed * length,
    )


def summed_loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    """Sum the cross-entropy over rows that have a label."""
    return nn.functional.cross_entropy(outputs.logits, labels, reduction="sum", ignore_index=-100)


def take_plain_steps(
    model: nn.Module, asked: Optimizer, num_steps: int, rate: float
) -> tuple[list[float], list[float]]:
    """Take steps in plain torch, each global batch in one process; returns losses and norms."""
    optimizer = torch.optim.AdamW(parameter_groups(model, asked), lr=rate, betas=asked.betas)
    losses, norms = [], []
    for step in range(num_steps):
        microbatches = [make_microbatch(step, lane) for lane in range(LANES)]
        targets = sum(m.num_targets for m in microbatches)
        loss = sum(summed_loss(model(**m.inputs), m.labels) for m in microbatches) / targets
        loss.backward()
        learning = [p for p in model.parameters() if p.requires_grad]
        norms.append(float(nn.utils.clip_grad_norm_(learning, asked.max_grad_norm)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses, norms
