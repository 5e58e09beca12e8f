"""Where a run stands, from its records."""

import pytest

from launcher.progress import Progress, progress_of
from tests.launcher.made_up_run import (
    ATTEMPT,
    COMMITTED,
    EVALUATED,
    PHASE,
    START,
    STORY,
    ended,
    step_record,
)


def test_the_latest_of_each_kind_is_kept():
    progress = progress_of("small", STORY)
    assert progress.step == step_record()
    assert progress.committed == COMMITTED
    assert progress.evaluations == {"validation": EVALUATED}
    assert sorted(progress.ledgers) == [1, 2]
    assert progress.ended is not None and progress.started == START


def test_remaining_time_is_the_mean_pace_of_the_last_steps():
    progress = Progress("small")
    assert progress.remaining_s is None
    for step, seconds in ((10, 9.0), (20, 1.0), (30, 1.0), (40, 2.0), (50, 2.0), (60, 4.0)):
        progress.add(step_record(step, seconds=seconds))
    # The last five: (1 + 1 + 2 + 2 + 4) / 5 = 2 s a step, 1,120 - 60 steps are left.
    assert progress.remaining_s == pytest.approx(2 * 1_060)


def test_a_new_attempt_forgets_the_end_and_the_pace():
    progress = progress_of("small", [*STORY, ended("stopped", 143)])
    again = ATTEMPT.model_copy(update={"time": START + 900, "attempt": 2})
    progress.add(again)
    assert (progress.ended, progress.exported, progress.remaining_s) == (None, None, None)
    assert progress.started == START + 900


def test_all_learn_only_when_nothing_is_frozen():
    assert not progress_of("small", [PHASE]).all_learn
    whole = PHASE.model_copy(update={"trainable_parameters": PHASE.total_parameters})
    assert progress_of("small", [whole]).all_learn


def test_time_that_a_run_stood_still_is_not_worked():
    stopped = ended("stopped", 143, time=START + 60)
    again = ATTEMPT.model_copy(update={"time": START + 3_660, "attempt": 2})
    records = [ATTEMPT.model_copy(update={"time": START}), stopped, again]
    assert progress_of("small", [*records, ended(time=START + 3_700)]).worked_s == 100
    # What the driver says counts: it began before its first record.
    assert progress_of("small", [*records, ended(worked_s=104.5)]).worked_s == 104.5
