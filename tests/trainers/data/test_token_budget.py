"""Microbatches by tokens: every row once, near the budget, little padding, steps known ahead."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.data.lanes import LanePlan
from trainers.data.token_budget import TokenBudget, plan_tokens


def lognormal(rows: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.Generator(np.random.PCG64(seed)).lognormal(4, 0.8, rows)
    return np.clip(drawn, 4, 512).astype(np.int32)


def planned(sizes: np.ndarray, lanes: int, tokens: int, multiple: int = 1) -> LanePlan:
    lane_rows = -(-len(sizes) // lanes)
    budget = plan_tokens(Counter(sizes.tolist()), tokens, multiple, lane_rows)
    return LanePlan(len(sizes), lanes, 8, seed=1, shuffle=True, budget=budget)


def fed(
    plan: LanePlan, sizes: np.ndarray, epoch: int, lane: int, start: int = 0
) -> list[list[int]]:
    def lengths(first: int, stop: int) -> np.ndarray:
        return sizes[first:stop]

    return [rows.tolist() for rows in plan.microbatches(epoch, lane, lengths, start)]


sets = st.lists(st.integers(1, 64), min_size=1, max_size=400).map(lambda x: np.array(x, np.int32))


@given(sets, st.integers(1, 6), st.integers(64, 600), st.sampled_from([1, 8]), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_each_row_once_in_the_planned_steps_and_resumable(
    sizes: np.ndarray, lanes: int, tokens: int, multiple: int, epoch: int
) -> None:
    plan = planned(sizes, lanes, tokens, multiple)
    streams = [fed(plan, sizes, epoch, lane) for lane in range(lanes)]
    assert sorted(row for lane in streams for rows in lane for row in rows) == list(
        range(len(sizes))
    )
    assert {len(lane) for lane in streams} == {plan.steps_per_epoch}
    start = plan.steps_per_epoch // 2
    assert fed(plan, sizes, epoch, lanes - 1, start) == streams[-1][start:]


@pytest.mark.parametrize("multiple", [1, 8])
def test_microbatches_keep_to_the_budget_and_pad_little(multiple: int) -> None:
    sizes = lognormal(40_000)
    plan = planned(sizes, lanes=4, tokens=4096, multiple=multiple)
    costs, real = [], 0
    for lane in range(4):
        for rows in fed(plan, sizes, 0, lane):
            longest = -(-int(sizes[rows].max()) // multiple) * multiple
            costs.append(len(rows) * longest)
            real += int(sizes[rows].sum())
    assert max(costs) <= 4096 * 1.05
    assert np.mean([cost > 4096 for cost in costs]) < 0.01
    assert np.mean(costs) > 0.85 * 4096
    assert 1 - real / sum(costs) < (0.03 if multiple == 1 else 0.08)


def test_lanes_feed_about_the_same_tokens_at_a_step() -> None:
    sizes = lognormal(40_000, seed=2)
    plan = planned(sizes, lanes=2, tokens=4096)
    longest = [
        [int(sizes[rows].max()) for rows in fed(plan, sizes, 3, lane) if rows] for lane in range(2)
    ]
    ratio = [max(a, b) / min(a, b) for a, b in zip(*longest, strict=False)]
    assert np.median(ratio) < 1.2


@given(sets, st.integers(1, 40))
@settings(deadline=None)
def test_the_largest_piece_is_nearly_as_small_as_can_be(sizes: np.ndarray, pieces: int) -> None:
    ordered = np.sort(sizes)
    bounds = TokenBudget(1, 64, 4096).cut(ordered, pieces).tolist()
    assert (bounds[0], bounds[-1], len(bounds)) == (0, len(sizes), pieces + 1)
    largest = max((b - a) * int(ordered[b - 1]) for a, b in pairwise(bounds) if b > a)
    assert largest <= best_possible(ordered.tolist(), pieces) * (1 + 1 / 64) + 1


def best_possible(costs: list[int], pieces: int) -> int:
    """The smallest largest piece, by trying every bound that a piece can have."""
    bounds = sorted({(j - i) * costs[j - 1] for j in range(1, len(costs) + 1) for i in range(j)})
    low, high = 0, len(bounds) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(costs, bounds[middle], pieces):
            high = middle
        else:
            low = middle + 1
    return bounds[low]


def fits(costs: list[int], bound: int, pieces: int) -> bool:
    start = 0
    for _ in range(pieces):
        stop = start
        while stop < len(costs) and (stop + 1 - start) * costs[stop] <= bound:
            stop += 1
        start = stop
    return start == len(costs)
