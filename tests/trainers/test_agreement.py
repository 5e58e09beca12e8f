"""Ranks come to one answer."""

import torch
import torch.distributed as dist

from tests.on_ranks import on_ranks
from trainers.agreement import all_agree, joined, reduced

MOST = 2**63 - 1


def _answers(rank: int, world_size: int) -> tuple[list[bool], list[int], list[int], float]:
    said = [all_agree(True), all_agree(rank == 0), all_agree(False)]
    added = reduced([2**40 + rank, MOST]).tolist()
    largest = reduced([rank, -rank], dist.ReduceOp.MAX).tolist()
    return said, added, largest, joined(torch.tensor([0.5 + rank])).item()


def test_one_no_is_the_answer_of_all_and_sums_wrap() -> None:
    # 2 * (2^63 - 1) is -2 mod 2^64.
    expected = ([True, False, False], [2**41 + 1, -2], [1, 0], 2.0)
    assert on_ranks(2, _answers) == [expected] * 2
    alone = ([True, True, False], [2**40, MOST], [0, 0], 0.5)
    assert on_ranks(1, _answers) == [alone]
