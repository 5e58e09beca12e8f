"""Runs of a person are found again."""

from pathlib import Path

import pytest

from cluster import located


def test_runs_of_this_person_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_HOME", str(tmp_path))
    assert located.locate_run("one") is None
    place = located.Located(storage="s3://bucket/runs", address="http://h:8265", job_id="one.01")
    located.remember_run("one", place)
    assert located.locate_run("one") == place
    assert located.located_runs() == {"one": place}
