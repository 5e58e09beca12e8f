"""Outliers: far from the median on the scale of the others, not of themselves."""

import numpy as np

from trainers.data.outliers import find_outliers


def test_far_values_are_found_the_farthest_first() -> None:
    # 1 to 99 and two values on each side: the median is 50, the median distance of 103 values is
    # the 52nd, 26, so one deviation is 38.55 and the limit of 3.5 lies 134.9 from the median.
    values = np.concatenate([np.arange(1.0, 100.0), [-84.0, 186.0, -1000.0, 184.0]])
    assert find_outliers(values).tolist() == [101, 100]
    assert find_outliers(values, limit=3.47).tolist() == [101, 100, 99, 102]


def test_most_values_the_same() -> None:
    # Median distance 0; mean distance 9 / 10, one deviation 1.128, 9 is 7.98 of them away.
    assert find_outliers(np.array([5.0] * 9 + [14.0])).tolist() == [9]
    assert find_outliers(np.array([5.0] * 9)).tolist() == []


def test_what_is_not_finite_is_far() -> None:
    assert find_outliers(np.array([1.0, 2.0, np.nan, 1.5, np.inf])).tolist() == [2, 4]
    assert find_outliers(np.array([])).tolist() == []
