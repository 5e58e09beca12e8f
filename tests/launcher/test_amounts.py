"""Numbers with units."""

import pytest

from launcher.amounts import duration, epochs, percent, plural, rate, short_count, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (-3, "0.0 s"),
        (0.6, "1 s"),
        (59.6, "1 m"),
        (372, "6 m 12 s"),
        (3_600, "1 h"),
        (12_345, "3 h 25 m"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_counts_take_their_plural():
    assert plural(1, "row") == "1 row"
    assert plural(10_003, "row") == "10,003 rows"


def test_large_counts_are_shortened_from_a_million_on():
    assert [short_count(n) for n in (29_645, 22_713_216, 1_500_000_000)] == [
        "29,645",
        "22.7 M",
        "1.5 G",
    ]


def test_sizes_rates_and_shares():
    assert [size(n) for n in (12, 2_048, 3 * 2**20, 2**41)] == [
        "12 B",
        "2.0 KiB",
        "3.0 MiB",
        "2.0 TiB",
    ]
    assert [rate(n) for n in (3.14, 3_120.4)] == ["3.1", "3,120"]
    assert percent(0.0034) == "0.3 %"
    assert [epochs(n) for n in (3.0, 0.42, 12.5, 100.0, 1_000.0)] == [
        "3",
        "0.42",
        "12.5",
        "100",
        "1,000",
    ]
