"""The section of faults: its defaults and bounds."""

import pytest
from pydantic import ValidationError

from configs.fault_sections import Faults


def test_a_rank_may_be_silent_for_ten_minutes() -> None:
    assert Faults().watchdog_s == 600


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    faults = Faults()
    assert (faults.on_nonfinite, faults.max_skipped, faults.spike_factor) == ("fail", 10, None)


@pytest.mark.parametrize(
    "asked", [{"watchdog_s": 0}, {"watchdog": 3}, {"spike_factor": 1.0}, {"on_nonfinite": "ignore"}]
)
def test_what_makes_no_sense_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Faults.model_validate(asked)
