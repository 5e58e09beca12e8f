"""Ranks come to one answer."""

from tests.on_ranks import on_ranks
from trainers.agreement import all_agree, total


def _answers(rank: int, world_size: int) -> tuple[bool, bool, bool, int]:
    return all_agree(True), all_agree(rank == 0), all_agree(False), total(2**40 + rank)


def test_one_no_is_the_answer_of_all() -> None:
    assert on_ranks(2, _answers) == [(True, False, False, 2**41 + 1)] * 2
