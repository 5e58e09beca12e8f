"""The worker that dies by itself; what verify makes of it stands in tests of the launcher."""

import threading
import time
from pathlib import Path

import pytest

from cluster import verification
from configs.records import Step
from tests.launcher.test_verification import attempt, step
from trainers import storage


@pytest.mark.parametrize(
    ("number", "attempt_number", "dies"), [(2, 1, False), (3, 1, True), (3, 2, False)]
)
def test_only_the_first_attempt_dies(number: int, attempt_number: int, dies: bool) -> None:
    record = step(number, 1.0, attempt_number)
    assert isinstance(record, Step)
    assert verification.is_the_end(record, attempt_number) is dies
    assert not verification.is_the_end(attempt(1), 1)


def commit(run_dir: Path) -> None:
    storage.write_atomically(f"{run_dir}/checkpoints/step-00000002.a01/MANIFEST.json", b"{}")


def test_a_commit_is_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    timer = threading.Timer(0.3, commit, [tmp_path])
    timer.start()
    verification.wait_for_a_commit(str(tmp_path), 60.0)
    timer.join()
    assert 0.3 <= time.monotonic() - begun < 30.0


def test_a_commit_is_not_waited_for_without_end(tmp_path: Path) -> None:
    begun = time.monotonic()
    verification.wait_for_a_commit(str(tmp_path), 0.2)
    assert 0.2 <= time.monotonic() - begun < 30.0
