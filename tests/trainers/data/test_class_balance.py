"""Class balance: shares as asked, every row at least or at most once, whatever the lanes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.balance_sections import Balance
from configs.errors import RecipeError
from trainers.data.class_balance import class_weights, plan_rates

NAMES = tuple("abcdef")
class_counts = st.lists(st.integers(1, 60), min_size=2, max_size=6)


def drawn(
    balance: Balance, counts: list[int], lanes: int, epoch: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and drawn places of every lane."""
    source = np.random.Generator(np.random.PCG64(sum(counts)))
    labels = source.permutation(np.repeat(np.arange(len(counts)), counts))
    plan = plan_rates(balance, NAMES[: len(counts)], counts, lanes)
    assert plan is not None
    assert plan.num_rows % lanes == 0
    parts = [
        labels[lane * len(labels) // lanes : (lane + 1) * len(labels) // lanes]
        for lane in range(lanes)
    ]
    rows = plan.num_rows // lanes
    return [(part, plan.draw(part, rows, 5, epoch, n)) for n, part in enumerate(parts)]


@given(class_counts, st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None)
def test_oversampling_shows_every_row_at_least_once(
    counts: list[int], lanes: int, epoch: int
) -> None:
    lanes = min(lanes, sum(counts))
    sizes = set()
    for labels, places in drawn(Balance(method="oversample"), counts, lanes, epoch):
        assert set(places.tolist()) == set(range(len(labels)))
        sizes.add(len(places))
    assert len(sizes) == 1


@given(class_counts, st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None)
def test_undersampling_shows_no_row_twice(counts: list[int], lanes: int, epoch: int) -> None:
    lanes = min(lanes, sum(counts))
    for _, places in drawn(Balance(method="undersample"), counts, lanes, epoch):
        assert len(set(places.tolist())) == len(places)


@pytest.mark.parametrize("method", ["oversample", "undersample"])
@pytest.mark.parametrize(
    ("target", "expected"), [("equal", [1, 1, 1]), ({"a": 2, "b": 1, "c": 1}, [2, 1, 1])]
)
def test_classes_come_up_as_asked(
    method: str, target: str | dict[str, float], expected: list[int]
) -> None:
    balance = Balance.model_validate({"method": method, "target": target})
    lanes = drawn(balance, [5000, 1000, 400], 2)
    counted = Counter(np.concatenate([labels[places] for labels, places in lanes]).tolist())
    shares = np.array([counted[each] for each in range(3)]) / sum(counted.values())
    # A lane may hold a few rows of a small class more than the other.
    np.testing.assert_allclose(shares, np.array(expected) / sum(expected), rtol=0.03)


def test_undersampling_draws_other_rows_every_epoch() -> None:
    first, second = (
        drawn(Balance(method="undersample"), [500, 50], 1, epoch)[0][1] for epoch in (0, 1)
    )
    assert set(first.tolist()) != set(second.tolist())
    again = drawn(Balance(method="undersample"), [500, 50], 1, 0)[0][1]
    assert again.tolist() == first.tolist()


def test_copies_of_a_row_lie_apart() -> None:
    (_, places), *_ = drawn(Balance(method="oversample"), [60, 6], 1)
    firsts = places[:66]
    assert firsts.tolist() == list(range(66))


def test_weights_have_mean_1_over_the_rows() -> None:
    counts = [90, 10]
    equal = class_weights(Balance(method="weighted_loss"), "ab", counts)
    # N / (classes x n): 100 / 180 and 100 / 20.
    np.testing.assert_allclose(equal, [100 / 180, 5.0])
    effective = class_weights(
        Balance(method="weighted_loss", target="effective_number", beta=0.9), "ab", counts
    )
    # 1 / (1 - 0.9^n) each, then scaled to mean 1.
    raw = np.array([1 / (1 - 0.9**90), 1 / (1 - 0.9**10)])
    np.testing.assert_allclose(effective, raw * 100 / (raw @ counts))


def test_a_class_without_rows_weighs_nothing() -> None:
    weights = class_weights(Balance(method="weighted_loss"), "abc", [6, 0, 2])
    np.testing.assert_allclose(weights, [8 / 12, 0, 2.0])


def test_a_target_names_the_labels() -> None:
    balance = Balance(method="weighted_loss", target={"a": 1.0, "x": 1.0})
    with pytest.raises(RecipeError, match="'b' is on one side only"):
        class_weights(balance, "ab", [1, 1])


def test_other_methods_draw_no_rows() -> None:
    assert plan_rates(Balance(method="focal"), "ab", [9, 1], 2) is None
    assert plan_rates(Balance(), "ab", [9, 1], 2) is None
