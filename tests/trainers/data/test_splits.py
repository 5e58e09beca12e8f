"""Splits: shares are shares, quotas are exact, times are in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.cleaning_sections import SplitRule
from configs.errors import DataError
from trainers.data.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    deal_by_hash,
    deal_by_time,
    deal_ranks,
    first_of_inputs,
    parse_times,
    quotas,
    time_cuts,
)

RULE = SplitRule(by="time", column="when")


def hashes(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.random.default_rng(0).integers(0, 2**64, count, np.uint64)


def test_shares_by_hash_are_shares() -> None:
    # 20,000 rows, share 0.1: standard deviation 42 rows; five of them are allowed.
    sides = deal_by_hash(hashes(20_000), {"validation": 0.1, "test": 0.3})
    assert abs((sides == VALIDATION).sum() - 2000) < 5 * 42
    assert abs((sides == TEST).sum() - 6000) < 5 * 65


@given(st.integers(0, 500), st.floats(0.01, 0.6), st.floats(0.01, 0.39), st.integers(1, 7))
@settings(deadline=None)
def test_quotas_are_exact_however_the_ranks_are_cut(
    count: int, share: float, other: float, parts: int
) -> None:
    shares = {"validation": share, "test": other}
    pieces = np.array_split(np.arange(count), parts)
    sides = np.concatenate([deal_ranks(ranks, count, shares) for ranks in pieces])
    quota = quotas(count, shares)
    assert (sides == TEST).sum() == quota["test"]
    assert (sides == VALIDATION).sum() == quota["validation"]
    if count > 10:
        assert quota["test"] == int(other * count + 0.5)
    if count:
        assert (sides == TRAIN).any()


def test_quotas_are_spaced_evenly() -> None:
    sides = deal_ranks(np.arange(1000), 1000, {"test": 0.1})
    assert np.diff(np.flatnonzero(sides == TEST)).tolist() == [10] * 99


def test_first_of_the_rows_with_the_same_inputs() -> None:
    assert first_of_inputs(np.array([3, 3, 4, 9, 9], np.uint64)).tolist() == [1, 0, 1, 1, 0]
    assert len(first_of_inputs(np.array([], np.uint64))) == 0


@given(
    st.lists(st.lists(st.integers(-5, 40), max_size=30), min_size=1, max_size=5),
    st.floats(0.05, 0.4),
)
@settings(deadline=None)
def test_the_latest_rows_are_in_test_then_validation(times: list[list[int]], share: float) -> None:
    parts = [np.sort(np.array(part, np.int64)) for part in times]
    cuts = time_cuts(parts, {"test": share, "validation": share})
    values = np.concatenate(parts)
    sides = deal_by_time(values, cuts)
    if len(values):
        wanted = max(1, int(share * len(values) + 0.5))
        assert cuts["test"] == np.sort(values)[-wanted]
        assert (sides == TEST).sum() >= wanted
        for early, late in ((TRAIN, VALIDATION), (VALIDATION, TEST), (TRAIN, TEST)):
            if (sides == early).any() and (sides == late).any():
                assert values[sides == early].max() < values[sides == late].min()


def test_times_in_many_ways() -> None:
    def parsed(texts: list[str], rule: SplitRule = RULE) -> list[int]:
        return (parse_times(texts, rule, str) // 1_000_000).tolist()

    assert parsed(["1970-01-02", "1970-01-01T00:00:05Z", "1970-01-01 01:00:07+01:00", "9.5"]) == [
        86_400,
        5,
        7,
        9,
    ]
    german = SplitRule(by="time", column="when", time_format="%d.%m.%Y")
    assert parsed(["03.01.1970"], german) == [2 * 86_400]


@pytest.mark.parametrize(
    ("text", "found"), [("yesterday", "is 'yesterday', not a time"), (None, "is empty")]
)
def test_what_is_no_time_is_named(text: str | None, found: str) -> None:
    with pytest.raises(DataError, match=f"e.csv row 2: column when {found}. Write times in ISO"):
        parse_times(["1970-01-01", text], RULE, lambda row: f"e.csv row {row + 1}")
