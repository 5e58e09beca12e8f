"""What a driver writes down of its run, also while the storage is away."""

import io
from pathlib import Path

import pytest

from cluster import driven_run, runs
from cluster.book import Book
from cluster.driven_run import Run
from cluster.lock import Lease
from configs.errors import LockedError
from tests.recipes import tiny_recipe
from trainers import storage as files


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = tiny_recipe(tmp_path, name="one")
    state = runs.create_run(recipe.storage, recipe, "one.01")
    folder = runs.run_directory(recipe.storage, "one")
    book = Book(files.join(folder, "metrics.jsonl"), io.StringIO())
    return Run(recipe, state, book, "a:b", folder, Lease(folder, state.claim))


def test_changes_are_in_the_run_directory(run: Run) -> None:
    run.change(state="running", attempts=1)
    found = runs.read_run(run.state.storage, "one")
    assert (found.state, found.attempts) == ("running", 1)


def test_a_change_waits_for_a_storage_that_is_away(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driven_run, "RETRY_AFTER_S", 0.0)
    folder = Path(run.folder)
    away = folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    run.change(state="running")
    assert run.next_save is not None
    folder.unlink()
    away.rename(folder)
    run.save()
    assert run.next_save is None
    assert runs.read_run(run.state.storage, "one").state == "running"


def test_a_run_that_somebody_else_took_is_left_alone(run: Run) -> None:
    run.refuse_if_lost()
    run.lease.lost = True
    with pytest.raises(LockedError, match="Leave it to them"):
        run.refuse_if_lost()
