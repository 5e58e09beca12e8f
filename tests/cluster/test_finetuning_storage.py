"""What a driver does while its storage is gone, and once others have taken its run over."""

import io
import time
from pathlib import Path

import pytest

from cluster import finetuning, lock, runs
from cluster.book import Book
from cluster.finetuning import Run
from cluster.lock import Lease
from configs.errors import LockedError
from configs.records import Ended, read_record
from configs.schema import Recipe
from tests.disks import bring_back, take_away

LIMIT_S = 60


def _recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "one",
            "model": {"path": "some/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "train.csv"},
            "checkpoint": {"deadline_s": 1.0},
        }
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = _recipe().model_copy(update={"storage": str(tmp_path / "runs")})
    state = runs.create_run(recipe.storage, recipe, "one.01")
    folder = runs.run_directory(recipe.storage, "one")
    return Run(
        recipe=recipe,
        state=state,
        book=Book(f"{folder}/metrics.jsonl", io.StringIO()),
        function="",
        folder=folder,
        lease=Lease(folder, state.claim),
    )


def _ended() -> Ended:
    return Ended(
        time=1.0,
        state="failed",
        exit_code=5,
        error="StorageError",
        message="full",
        step=2,
        metrics={},
        rows=0,
    )


def test_state_and_records_wait_for_a_storage_that_is_gone(run: Run) -> None:
    run.note("before")
    away = take_away(Path(run.folder))
    run.change(state="running", attempts=1)
    run.note("meanwhile")
    run.book.echo()
    bring_back(Path(run.folder), away)
    assert runs.read_run(run.recipe.storage, "one").state == "queued"
    limit = time.monotonic() + LIMIT_S
    while run.next_save is not None or len(Path(run.book.address).read_text().splitlines()) < 2:
        assert time.monotonic() < limit
        time.sleep(0.05)
        run.save()
        run.book.echo()
    state = runs.read_run(run.recipe.storage, "one")
    assert (state.state, state.attempts) == ("running", 1)
    lines = Path(run.book.address).read_text().splitlines()
    assert [read_record(line).text for line in lines] == ["before", "meanwhile"]


def test_attempts_are_numbered_by_their_claims(run: Run) -> None:
    assert run.next_attempt() == 1
    run.change(attempts=1)
    assert run.next_attempt() == 2
    run.change(attempts=2)
    lock.claim(run.folder, 3, "one.02")
    with pytest.raises(LockedError):
        run.next_attempt()


def test_what_others_have_taken_over_is_left_to_them(run: Run) -> None:
    run.change(attempts=1)
    taken = runs.take_over_run(run.recipe.storage, run.recipe, "one.02", beat_limit_s=0.1)
    assert run.lease.is_lost()
    with pytest.raises(LockedError, match="while this driver slept"):
        run.refuse_if_lost()
    finetuning._close(run, _ended())
    assert runs.read_run(run.recipe.storage, "one") == taken
    assert not Path(run.book.address).exists()
    assert '"kind":"ended"' in run.book._log.getvalue()
