"""Old attempts are told from the newest."""

from pathlib import Path

import pytest

from configs.errors import LockedError
from trainers.fence import newest_claim, refuse_if_superseded


def test_an_attempt_is_superseded_by_a_higher_claim_alone(tmp_path: Path) -> None:
    run_dir = str(tmp_path)
    assert newest_claim(run_dir) == 0
    refuse_if_superseded(run_dir, 1)
    (tmp_path / "lock").mkdir()
    for name in ("0001", "0002", ".0003.abc.tmp", "9999", "10000"):
        (tmp_path / "lock" / name).touch()
    assert newest_claim(run_dir) == 10000
    refuse_if_superseded(run_dir, 10000)
    with pytest.raises(LockedError, match="attempt 10000 has taken the run over"):
        refuse_if_superseded(run_dir, 9999)
