"""Lanes: every row once, whatever the numbers; the same stream wherever it starts or runs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.data.lanes import BLOCK_ROWS, LanePlan

plans = st.builds(
    LanePlan,
    num_rows=st.one_of(st.integers(0, 40), st.integers(0, 3000)),
    lanes=st.integers(1, 12),
    microbatch_size=st.one_of(st.integers(1, 9), st.integers(1, 5000)),
    seed=st.integers(0, 2**32 - 1),
    shuffle=st.booleans(),
)
epochs = st.integers(0, 50)


def lengths(start: int, stop: int) -> np.ndarray:
    return (np.arange(start, stop) * 7919 % 61 + 1).astype(np.int32)


def stream(plan: LanePlan, epoch: int, lane: int, start_step: int = 0) -> list[list[int]]:
    return [rows.tolist() for rows in plan.microbatches(epoch, lane, lengths, start_step)]


@given(plans, epochs)
@settings(max_examples=300, deadline=None)
def test_each_row_is_fed_exactly_once_an_epoch(plan: LanePlan, epoch: int) -> None:
    fed = [rows for lane in range(plan.lanes) for rows in stream(plan, epoch, lane)]
    assert sorted(row for rows in fed for row in rows) == list(range(plan.num_rows))
    assert all(len(rows) <= plan.microbatch_size for rows in fed)


@given(plans, epochs)
@settings(deadline=None)
def test_all_lanes_take_the_fewest_steps_that_can_be(plan: LanePlan, epoch: int) -> None:
    longest_lane = max(
        plan.lane_range(lane)[1] - plan.lane_range(lane)[0] for lane in range(plan.lanes)
    )
    fewest = -(-longest_lane // plan.microbatch_size)
    steps = {len(stream(plan, epoch, lane)) for lane in range(plan.lanes)}
    assert steps == {plan.steps_per_epoch} == {fewest}


@given(plans, epochs)
@settings(deadline=None)
def test_a_lane_spreads_its_rows_evenly_and_stays_in_its_range(plan: LanePlan, epoch: int) -> None:
    for lane in range(plan.lanes):
        fed = stream(plan, epoch, lane)
        sizes = {len(rows) for rows in fed} or {0}
        assert max(sizes) - min(sizes) <= 1
        start, stop = plan.lane_range(lane)
        assert all(start <= row < stop for rows in fed for row in rows)


@given(plans, epochs, st.data())
@settings(deadline=None)
def test_resuming_at_a_step_equals_replaying_up_to_it(
    plan: LanePlan, epoch: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, plan.steps_per_epoch + 1))
    lane = data.draw(st.integers(0, plan.lanes - 1))
    assert stream(plan, epoch, lane, start) == stream(plan, epoch, lane)[start:]


@given(plans, epochs)
@settings(deadline=None)
def test_every_world_size_sees_the_same_steps(plan: LanePlan, epoch: int) -> None:
    def steps(world_size: int) -> list[list[list[int]]]:
        streams = {
            lane: stream(plan, epoch, lane)
            for rank in range(world_size)
            for lane in range(rank, plan.lanes, world_size)
        }
        return [
            [streams[lane][s] for lane in range(plan.lanes)] for s in range(plan.steps_per_epoch)
        ]

    worlds = [world for world in range(1, plan.lanes + 1) if plan.lanes % world == 0]
    assert all(steps(world) == steps(1) for world in worlds)


def test_resuming_reads_the_lengths_of_its_own_window_only() -> None:
    plan = LanePlan(1_000_000, 2, 8, seed=0, shuffle=True)
    asked: list[tuple[int, int]] = []

    def recorded(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return lengths(start, stop)

    next(plan.microbatches(3, 1, recorded, start_step=plan.steps_per_epoch - 1))
    assert sum(stop - start for start, stop in asked) <= 2 * 64 * 8
    assert len(asked) <= 2 + 64 * 8 // BLOCK_ROWS


def test_epochs_and_seeds_differ_when_shuffled_and_agree_when_not() -> None:
    shuffled = LanePlan(1000, 2, 8, seed=0, shuffle=True)
    assert stream(shuffled, 0, 0) != stream(shuffled, 1, 0)
    assert stream(shuffled, 0, 0) != stream(LanePlan(1000, 2, 8, seed=1, shuffle=True), 0, 0)
    in_order = LanePlan(1000, 2, 8, seed=0, shuffle=False)
    assert stream(in_order, 0, 0) == stream(in_order, 1, 0)


def test_lanes_feed_the_same_length_quantile_at_the_same_step() -> None:
    # Both lanes hold rows 0..63 tokens long, each length equally often, so with one window each
    # step's microbatch must hold the same lengths in both.
    plan = LanePlan(1024, 2, 8, seed=5, shuffle=True)

    def cycle(start: int, stop: int) -> np.ndarray:
        return (np.arange(start, stop) % 64).astype(np.int32)

    assert plan.num_windows == 1
    lanes = [list(plan.microbatches(2, lane, cycle)) for lane in range(2)]
    quantiles = [[sorted(row % 64 for row in rows) for rows in lane] for lane in lanes]
    assert quantiles[0] == quantiles[1]
    assert [q[0] for q in quantiles[0]] != sorted(q[0] for q in quantiles[0])


def test_small_numbers() -> None:
    assert stream(LanePlan(0, 3, 4, 0, True), 0, 1) == []
    one = LanePlan(1, 3, 4, 0, True)
    assert [stream(one, 0, lane) for lane in range(3)] == [[[]], [[]], [[0]]]


def test_the_stream_is_the_same_on_every_machine_and_version() -> None:
    # Written down once: a change of these numbers changes what a resumed run sees.
    plan = LanePlan(20, 2, 4, seed=7, shuffle=True)
    assert stream(plan, 1, 0) == [[0, 5, 4], [2, 7, 1, 6], [9, 3, 8]]
