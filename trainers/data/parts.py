"""Cut a microbatch into parts that are fed one after another, where a whole one needs too much.

The parts hold the same rows in the same order, padded as they were, so that their summed losses add
up to that of the whole. Why there is more than one stands in the recipe.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch

from trainers.data.batches import Microbatch
from trainers.tasks.judging import IGNORED

POSITIONS = "position_ids"
"""What begins anew with each row of a packed sequence."""


def cut(microbatch: Microbatch, num_parts: int) -> list[Microbatch]:
    """Cut into as many parts, of equal size to one row; parts without rows have no target.

    Counts of targets and tokens stay those of the whole.
    """
    if num_parts == 1:
        return [microbatch]
    rows = max(1, microbatch.num_rows)
    starts = _packed_starts(microbatch)
    if starts is None and len(microbatch.labels) != rows:
        # Packed, but one of the rows has no token: nobody knows where the others begin.
        return [microbatch, *[_without_rows(microbatch)] * (num_parts - 1)]
    bounds = [part * rows // num_parts for part in range(num_parts + 1)]
    made = []
    for begin, end in pairwise(bounds):
        if starts is None:
            pick = _rows(begin, max(end, begin + 1))
        else:
            pick = _tokens(starts[begin], starts[max(end, begin + 1)])
        part = _part(microbatch, pick, slice(begin, end))
        made.append(part if end > begin else _without_rows(part))
    return made


def _rows(begin: int, end: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor[begin:end]


def _tokens(begin: int, end: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor[:, begin:end]


def _packed_starts(microbatch: Microbatch) -> list[int] | None:
    """Give where the rows of a packed sequence begin, and its end; None where none is packed."""
    positions = microbatch.inputs.get(POSITIONS)
    if positions is None or len(positions) != 1:
        return None
    starts: list[int] = torch.nonzero(positions[0] == 0).flatten().tolist()
    return [*starts, positions.shape[1]] if len(starts) == microbatch.num_rows else None


def _part(
    microbatch: Microbatch, pick: Callable[[torch.Tensor], torch.Tensor], rows: slice
) -> Microbatch:
    recorded, mixed = microbatch.recorded, microbatch.mixed
    return replace(
        microbatch,
        inputs={name: pick(tensor) for name, tensor in microbatch.inputs.items()},
        labels=pick(microbatch.labels),
        row_ids=microbatch.row_ids[rows],
        numbers=microbatch.numbers[rows],
        sources=microbatch.sources[rows],
        num_rows=len(microbatch.row_ids[rows]),
        recorded=pick(recorded) if recorded is not None else None,
        mixed=replace(mixed, labels=pick(mixed.labels)) if mixed is not None else None,
    )


def _without_rows(part: Microbatch) -> Microbatch:
    """Let what another part feeds too count for nothing."""
    nothing = torch.nan if part.labels.is_floating_point() else IGNORED
    labels, none = torch.full_like(part.labels, nothing), slice(0)
    return replace(
        part,
        labels=labels,
        row_ids=part.row_ids[none],
        numbers=part.numbers[none],
        sources=part.sources[none],
        num_rows=0,
        mixed=None,
    )
