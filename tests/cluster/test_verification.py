"""The worker that dies by itself; what verify makes of it stands in tests of the launcher."""

import pytest

from cluster import verification
from configs.records import Step
from tests.launcher.test_verification import attempt, step


@pytest.mark.parametrize(
    ("number", "attempt_number", "dies"), [(2, 1, False), (3, 1, True), (3, 2, False)]
)
def test_only_the_first_attempt_dies(number: int, attempt_number: int, dies: bool) -> None:
    record = step(number, 1.0, attempt_number)
    assert isinstance(record, Step)
    assert verification.is_the_end(record, attempt_number) is dies
    assert not verification.is_the_end(attempt(1), 1)
