"""Let all ranks come to one answer; what they do with it stands elsewhere."""

from typing import Any

import torch
import torch.distributed as dist


def all_agree(mine: bool) -> bool:
    """Say whether something holds on every rank. Collective: every rank calls this."""
    return _reduced(int(mine), dist.ReduceOp.MIN) == 1


def total(mine: int) -> int:
    """Add a number up over all ranks. Collective: every rank calls this."""
    return _reduced(mine, dist.ReduceOp.SUM)


def _reduced(mine: int, how: Any) -> int:
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    value = torch.tensor([mine], dtype=torch.int64, device=device)
    dist.all_reduce(value, op=how)
    return int(value.item())
