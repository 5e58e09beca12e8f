"""Speeds between two records."""

import pytest

from trainers.step import Counts
from trainers.throughput import Throughput


def test_means_start_anew_after_each_record() -> None:
    throughput = Throughput()
    counts = Counts(targets=4, rows=4, tokens=30, fed_tokens=40, id_sum=0, stop=False, commit=False)
    throughput.add(counts)
    throughput.add(counts)
    speed = throughput.take(seconds_waited=0.0)
    assert speed.padding == pytest.approx(0.25)
    assert speed.tokens_per_s == pytest.approx(speed.rows_per_s * 30 / 4)
    assert speed.seconds == pytest.approx(8 / speed.rows_per_s / 2)
    assert speed.data_wait == 0.0
    assert throughput.take(seconds_waited=0.0).rows_per_s == 0.0
