"""Ranks come to one answer."""

import torch
import torch.distributed as dist

from tests.on_ranks import on_ranks
from trainers.agreement import all_agree, joined, rank_and_size, reduced, stacked

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


def _stack(rank: int, world_size: int) -> tuple[list[list[int]], list[int], tuple[int, int]]:
    mine = torch.full((2 * rank, 2), rank)
    return stacked(mine).tolist(), stacked(torch.zeros(0)).tolist(), rank_and_size()


def test_rows_of_all_ranks_stand_in_the_order_of_the_ranks() -> None:
    rows = [[1, 1]] * 2 + [[2, 2]] * 4
    assert on_ranks(3, _stack) == [(rows, [], (rank, 3)) for rank in range(3)]


def test_without_a_group_there_is_one_rank() -> None:
    assert rank_and_size() == (0, 1)
    assert stacked(torch.tensor([3])).tolist() == reduced([3]).tolist() == [3]
