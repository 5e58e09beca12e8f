"""Let all ranks come to one answer; what they do with it stands elsewhere.

Without a process group there is one rank.
"""

from typing import Any

import torch
import torch.distributed as dist

from trainers.heartbeat import beat


def all_agree(mine: bool) -> bool:
    """Say whether something holds on every rank. Collective: every rank calls this."""
    return bool(reduced([int(mine)], dist.ReduceOp.MIN).item())


def reduced(mine: list[int], how: Any = dist.ReduceOp.SUM) -> torch.Tensor:
    """Join integers of all ranks, place by place; they add up mod 2^64.

    Collective: every rank calls this.
    """
    device = "cuda" if _world_size() > 1 and dist.get_backend() == "nccl" else "cpu"
    return joined(torch.tensor(mine, dtype=torch.int64, device=device), how)


def joined(mine: torch.Tensor, how: Any = dist.ReduceOp.SUM) -> torch.Tensor:
    """Join tensors of all ranks in place; a rank alone saves the call, which small steps notice.

    Collective: every rank calls this.
    """
    if _world_size() > 1:
        dist.all_reduce(mine, op=how)
    beat()
    return mine


def stacked(mine: torch.Tensor) -> torch.Tensor:
    """Put the rows of all ranks one behind another; ranks may have different numbers of them.

    Collective: every rank calls this.
    """
    if _world_size() == 1:
        return mine
    counts = [0] * _world_size()
    counts[dist.get_rank()] = len(mine)
    shares: list[int] = reduced(counts).tolist()
    padded = mine.new_zeros((max(shares), *mine.shape[1:]))
    padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in shares]
    dist.all_gather(parts, padded)
    beat()
    return torch.cat([part[:rows] for part, rows in zip(parts, shares, strict=True)])


def rank_and_size() -> tuple[int, int]:
    """Give the number of this rank, and of how many it is one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _world_size() -> int:
    return rank_and_size()[1]
