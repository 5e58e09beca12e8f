"""What is due after a step."""

from configs.run_sections import Checkpoint, Evaluation
from trainers.cadence import commit_due, evaluation_due, step_is_logged
from trainers.early_stopping import Best
from trainers.manifest import Cursor


def test_evaluations_by_steps_and_by_epochs() -> None:
    asked = Evaluation(every_epochs=2, every_steps=5)
    assert evaluation_due(asked, Cursor(step=5, step_in_epoch=5))
    assert not evaluation_due(asked, Cursor(step=6, step_in_epoch=6))
    assert not evaluation_due(asked, Cursor(step=8, epoch=1))
    assert evaluation_due(asked, Cursor(step=16, epoch=2))
    assert not evaluation_due(asked, Cursor())


def test_commits_by_steps_by_epochs_and_for_the_best() -> None:
    asked = Checkpoint(every_epochs=None, every_steps=3)
    assert commit_due(asked, Cursor(step=3, step_in_epoch=3))
    assert not commit_due(asked, Cursor(step=4, epoch=1))
    assert commit_due(asked, Cursor(step=4, epoch=1, best=Best(value=0.5, step=4)))
    assert commit_due(Checkpoint(), Cursor(step=4, epoch=1))


def test_first_last_and_every_nth_step_is_logged() -> None:
    logged = [step for step in range(1, 24) if step_is_logged(10, step, 23)]
    assert logged == [1, 10, 20, 23]
