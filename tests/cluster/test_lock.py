"""One driver at a time."""

from pathlib import Path

import pytest

from cluster import lock
from configs.errors import LockedError


def test_claims_are_numbered_and_given_once(tmp_path: Path) -> None:
    folder = str(tmp_path)
    lock.claim(folder, 1, "one.01")
    with pytest.raises(LockedError):
        lock.claim(folder, 1, "one.02")
    lock.claim(folder, 2, "one.02")
    assert lock.list_claims(folder) == ["0001", "0002"]


def test_driver_beats_until_it_ends(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with lock.beating(folder, every_s=0.05):
        assert lock.beats(folder)
    assert not lock.beats(folder, limit_s=0.5)
