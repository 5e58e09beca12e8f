"""Speeds between two records."""

import threading
import time

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


def test_rows_without_tokens_have_no_rate_of_tokens() -> None:
    throughput = Throughput(has_tokens=False)
    counts = Counts(targets=4, rows=4, tokens=4, fed_tokens=4, id_sum=0, stop=False, commit=False)
    throughput.add(counts)
    speed = throughput.take(seconds_waited=0.0)
    assert speed.tokens_per_s is None and speed.rows_per_s > 0


def test_a_process_that_computes_has_a_core_and_one_that_sleeps_has_none() -> None:
    throughput, sleeps = Throughput(), threading.Event()
    sleeps.wait(0.3)
    assert throughput.take(seconds_waited=0.0).cpu_share < 0.5
    throughput = Throughput()
    limit = time.process_time() + 0.2
    while time.process_time() < limit:
        pass
    speed = throughput.take(seconds_waited=0.0)
    assert speed.cpu_share > 0
    assert speed.cpu_share * speed.seconds == pytest.approx(0.2, abs=0.1)
