"""Compare across ranks what must be the same on all of them; when that is due is the loop's.

Ranks of ZeRO-0, -1 and -2 hold the same weights, those of ZeRO-3 only what is not sliced; buffers
that are saved are the same on all stages. A network or a card that is broken lets them drift apart,
which nothing else would show. The bits of each tensor are added up mod 2^64, each word times an odd
number that tells its place: one flipped bit always changes the sum, and hardly ever do two changes
cancel.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from configs.errors import TrainingError
from trainers.agreement import rank_and_size, reduced, stacked
from trainers.engine import Engine

CHUNK_WORDS = 2**18
"""Words of 8 bytes that are added up at once: a few MB, and no copy of the model."""


def compare_ranks(engine: Engine, step: int) -> None:
    """Raise TrainingError on all ranks when what must be equal differs.

    Collective: every rank calls this. One number is compared; which tensor differs is looked for
    only then.
    """
    if rank_and_size()[1] == 1:
        return
    sums = [(name, checksum(tensor)) for name, tensor in replicated(engine)]
    if not sums:
        return
    each = torch.stack([total for _, total in sums])
    whole = int((each * _places(len(each), each.device)).sum().item())
    # The maximum of a number and of its complement: both are this rank's own where all agree.
    found = reduced([whole, ~whole], dist.ReduceOp.MAX).tolist()
    if found != [found[0], ~found[0]]:
        raise TrainingError(_difference([name for name, _ in sums], each, step))


def checksum(tensor: torch.Tensor) -> torch.Tensor:
    """Add up the bits of a tensor as above: an int64 without dimensions, on its device."""
    # Without a copy, but of the few tensors that are not contiguous.
    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    total = torch.zeros((), dtype=torch.int64, device=flat.device)
    places = _places(min(CHUNK_WORDS, -(-len(flat) // 8)), flat.device)
    for number, start in enumerate(range(0, len(flat), 8 * CHUNK_WORDS)):
        words = _words(flat[start : start + 8 * CHUNK_WORDS])
        # Each chunk has a factor of its own: chunks cannot change places.
        total += (words * places[: len(words)]).sum() * (2 * number + 1)
    return total


def replicated(engine: Engine) -> Iterator[tuple[str, torch.Tensor]]:
    """Give what every rank holds whole, parameters first, by name."""
    for name, parameter in engine.model.named_parameters():
        if engine.stage != 3 or _is_kept_whole(parameter):
            yield name, parameter
    for prefix, module in engine.model.named_modules():
        for name, buffer in module.named_buffers(prefix, recurse=False):
            # Others are computed on the way, maybe from the rank's own rows.
            if name.rpartition(".")[2] not in module._non_persistent_buffers_set:
                yield name, buffer


def _is_kept_whole(parameter: Any) -> bool:
    """Say whether ZeRO-3 keeps a parameter whole on all ranks, as it does with small ones."""
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    whole = parameter.ds_status == ZeroParamStatus.AVAILABLE
    return bool(parameter.ds_persist and whole)


def _words(part: torch.Tensor) -> torch.Tensor:
    """See bytes as integers of 8, the last filled up with zeros."""
    if len(part) % 8:
        part = nn.functional.pad(part, (0, -len(part) % 8))
    elif part.storage_offset() % 8:
        part = part.clone()
    return part.view(torch.int64)


def _places(count: int, device: torch.device) -> torch.Tensor:
    """Give odd numbers, another for each place."""
    return torch.arange(count, dtype=torch.int64, device=device) * 2 + 1


def _difference(names: list[str], mine: torch.Tensor, step: int) -> str:
    """Say which ranks differ from most others, and in which tensor first. Collective."""
    everyone = stacked(mine.unsqueeze(0)).tolist()
    place = next(n for n in range(len(names)) if len({sums[n] for sums in everyone}) > 1)
    found = [sums[place] for sums in everyone]
    usual, count = Counter(found).most_common(1)[0]
    others = [rank for rank, total in enumerate(found) if total != usual]
    if 2 * count > len(found):
        numbered = ", ".join(map(str, others))
        who = f"rank {numbered} differs" if len(others) == 1 else f"ranks {numbered} differ"
    else:
        who = f"ranks {', '.join(map(str, range(len(found))))} differ"
    number = sum(len({sums[n] for sums in everyone}) > 1 for n in range(len(names)))
    return (
        f"{who} in {names[place]} and {number - 1} further tensors at step {step}, where all ranks "
        "must hold the same bits. Look for a broken card or network there, then resume from the "
        "last commit on other nodes"
    )


def checksum_due(every_steps: int | None, step: int) -> bool:
    """Say whether ranks are to be compared after a step."""
    return every_steps is not None and step % every_steps == 0
