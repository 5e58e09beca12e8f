"""Memory of a preparation does not grow with the rows."""

from pathlib import Path

import pytest

from benchmarks.preparation_scale import measure

pytestmark = pytest.mark.slow

ROWS = 60_000
LIMIT_MIB = 48
"""Four times the rows may cost so much more: buckets grow up to 64 MiB, shards to 65,536 rows."""


def test_four_times_the_rows_need_about_the_same_memory(tmp_path: Path) -> None:
    costs = []
    for times in (1, 4):
        folder = tmp_path / str(times)
        folder.mkdir()
        costs.append(measure(ROWS * times, folder))
    assert [cost.rows for cost in costs] == [ROWS, 4 * ROWS]
    assert [cost.kept for cost in costs] == [19 * ROWS // 20, 4 * 19 * ROWS // 20]
    grown = [cost.peak_mib - cost.before_mib for cost in costs]
    assert grown[1] - grown[0] < LIMIT_MIB, costs
