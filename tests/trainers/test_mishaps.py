"""What is remembered of steps that went wrong."""

import pytest

from configs.fault_sections import Faults
from trainers.mishaps import FEWEST_STEPS, WINDOW_STEPS, LeftOut, Mishaps

SPIKES = Faults(spike_factor=3.0)


def test_moves_are_the_steps_since_birth_that_moved_something() -> None:
    mishaps = Mishaps(unmoved=(2, 5, 9))
    assert mishaps.moves(10, 0) == 7
    assert mishaps.moves(8, 0) == 6
    # What began to learn after step 2 did not see that step, what began after step 1 did.
    assert (mishaps.moves(10, 2), mishaps.moves(10, 1)) == (6, 6)
    assert Mishaps().moves(10, 4) == 6


def test_what_is_left_out_belongs_to_an_epoch() -> None:
    outs = [LeftOut(epoch=e, step=4, lane=1, row_ids=(7, 2**64 - 1)) for e in (0, 2)]
    mishaps = Mishaps(left_out=tuple(outs))
    assert mishaps.left_out_of(2) == {(4, 1): outs[1]}
    assert mishaps.left_out_of(1) == {}
    assert Mishaps.model_validate_json(mishaps.model_dump_json()) == mishaps


def test_a_spike_is_many_times_the_median_of_the_latest_losses() -> None:
    mishaps = Mishaps()
    for step in range(1, FEWEST_STEPS + 1):
        assert mishaps.most_loss(SPIKES) == float("inf")
        mishaps = mishaps.after(step, 0.1 * step, SPIKES, moved=True)
    # The median of 0.1 to 1.0 is 0.55.
    assert mishaps.most_loss(SPIKES) == pytest.approx(3 * 0.55)
    assert mishaps.most_loss(Faults()) == float("inf")
    for step in range(WINDOW_STEPS):
        mishaps = mishaps.after(step, 2.0, SPIKES, moved=True)
    assert len(mishaps.losses) == WINDOW_STEPS
    assert mishaps.most_loss(SPIKES) == 6.0
    assert Mishaps.model_validate_json(mishaps.model_dump_json()) == mishaps


def test_losses_below_zero_have_no_spikes() -> None:
    mishaps = Mishaps(losses=(-1.0,) * WINDOW_STEPS)
    assert mishaps.most_loss(SPIKES) == float("inf")


def test_nothing_is_kept_that_nobody_asks_for() -> None:
    assert Mishaps().after(3, 1.0, Faults(), moved=True) == Mishaps()
    assert Mishaps().after(3, 1.0, Faults(), moved=False).unmoved == (3,)
    assert Mishaps(num_skipped=2, num_rollbacks=1).count == 3
