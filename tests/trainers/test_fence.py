"""Old attempts are told from the newest."""

from pathlib import Path

import pytest

from configs.errors import LockedError
from trainers.fence import is_superseded, newest_claim, read_claim, refuse_if_superseded


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


def test_another_run_in_its_place_supersedes_an_attempt(tmp_path: Path) -> None:
    run_dir = str(tmp_path)
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "0001").write_text("mine")
    assert not is_superseded(run_dir, 1, read_claim(run_dir, 1))
    (tmp_path / "lock" / "0001").write_text("somebody else's")
    assert is_superseded(run_dir, 1, "mine") and not is_superseded(run_dir, 1)
    with pytest.raises(LockedError, match="another run of the same name was begun in its place"):
        refuse_if_superseded(run_dir, 1, "mine")
    # Gone is not taken: what is written fails, and is tried again until it is back.
    (tmp_path / "lock" / "0001").unlink()
    assert read_claim(run_dir, 1) == "" and not is_superseded(run_dir, 1, "mine")
