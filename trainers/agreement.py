"""Let all ranks come to one answer; what they do with it stands elsewhere."""

from typing import Any

import torch
import torch.distributed as dist


def all_agree(mine: bool) -> bool:
    """Say whether something holds on every rank. Collective: every rank calls this."""
    return bool(reduced([int(mine)], dist.ReduceOp.MIN).item())


def reduced(mine: list[int], how: Any = dist.ReduceOp.SUM) -> torch.Tensor:
    """Join integers of all ranks, place by place; they add up mod 2^64.

    Collective: every rank calls this.
    """
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return joined(torch.tensor(mine, dtype=torch.int64, device=device), how)


def joined(mine: torch.Tensor, how: Any = dist.ReduceOp.SUM) -> torch.Tensor:
    """Join tensors of all ranks in place; a rank alone saves the call, which small steps notice.

    Collective: every rank calls this.
    """
    if dist.get_world_size() > 1:
        dist.all_reduce(mine, op=how)
    return mine
