"""Random orders: whole, different by key, the same for ever."""

import numpy as np

from trainers.data.random_order import mixed, order_key, permutation


def test_a_permutation_holds_everything_once() -> None:
    order = permutation(order_key(1, 2), 1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != permutation(order_key(1, 3), 1000).tolist()
    assert permutation(None, 4).tolist() == [0, 1, 2, 3]


def test_every_part_and_its_place_count() -> None:
    keys = {int(order_key(*parts)) for parts in ((0,), (0, 0), (0, 1), (1, 0), (1,), ())}
    assert len(keys) == 6


def test_numbers_are_those_of_every_machine_and_version() -> None:
    # Written down once: a change of these numbers changes what a resumed run sees.
    assert permutation(order_key(7, 1), 8).tolist() == EXPECTED
    values = mixed(order_key(7), np.arange(10_000))
    ones = np.unpackbits(values.view(np.uint8)).mean()
    # 640,000 fair bits: the mean's standard deviation is 0.000625.
    assert abs(ones - 0.5) < 5 * 0.000625


EXPECTED = [0, 7, 1, 5, 4, 2, 6, 3]
