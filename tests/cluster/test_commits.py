"""Commits of a run as a person sees them, and which of them may go."""

from pathlib import Path

import pytest
import torch

from cluster import commits, lock, runs
from configs.errors import CheckpointError, NotFoundError, RecipeError
from configs.schema import Recipe
from tests.trainers.commits import made_manifest
from trainers.manifest import Cursor, checkpoint_name, read_manifest
from trainers.tensor_file import write_tensors

VALUES = {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.6, 5: 0.4}
NAMES = {step: checkpoint_name(step, 1) for step in VALUES}


def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "one",
            "model": {"path": "some/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "train.csv", "validation": "10%"},
            "evaluation": {"best_metric": "accuracy"},
        }
    )


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A stopped run with five commits, the second of them the best."""
    folder = tmp_path / "runs"
    state = runs.create_run(str(folder), recipe(), "one.01")
    runs.change_state(state, state="stopped", attempts=1)
    for step, value in VALUES.items():
        commit = folder / "one" / "checkpoints" / NAMES[step]
        saved = write_tensors(str(commit / "rank-00000.safetensors"), {"a": torch.ones(step)})
        cursor = Cursor(
            step=step,
            epoch=step,
            value=value,
            value_step=step,
            best_checkpoint=NAMES[min(step, 2)],
        )
        manifest = made_manifest(step, cursor=cursor, files=(saved,), time=float(step))
        (commit / "MANIFEST.json").write_text(manifest.model_dump_json())
    return str(folder)


def _file(storage: str, step: int, name: str = "rank-00000.safetensors") -> Path:
    return Path(storage, "one", "checkpoints", NAMES[step], name)


def _surplus(
    storage: str, last: int | None = None, best: int | None = None, beat_limit_s: float = 0.3
) -> list[int]:
    chosen = commits.choose_surplus(storage, "one", last, best, beat_limit_s)
    return [each.step for each in chosen]


def test_facts_of_each_commit(storage: str) -> None:
    facts = commits.list_facts(storage, "one")
    assert [(each.step, each.attempt, each.epoch, each.phase) for each in facts] == [
        (step, 1, step, 1) for step in VALUES
    ]
    assert [each.value for each in facts] == [*VALUES.values()]
    assert [each.name for each in facts if each.newest] == [NAMES[5]]
    assert [each.name for each in facts if each.best] == [NAMES[2]]
    assert [each.num_bytes for each in facts] == [_file(storage, n).stat().st_size for n in VALUES]
    assert all(each.whole for each in facts)
    _file(storage, 3).write_bytes(b"")
    _file(storage, 4, "MANIFEST.json").write_text("{")
    facts = commits.list_facts(storage, "one")
    assert [each.step for each in facts if not each.whole] == [3, 4]


def test_damage_is_told_by_commit(storage: str) -> None:
    assert commits.find_damage(storage, "one") == {name: [] for name in NAMES.values()}
    data = bytearray(_file(storage, 5).read_bytes())
    data[-1] ^= 1
    _file(storage, 5).write_bytes(data)
    found = commits.find_damage(storage, "one")
    assert [name for name, problems in found.items() if problems] == [NAMES[5]]


def test_what_the_recipe_or_the_numbers_do_not_keep_may_go(storage: str) -> None:
    assert _surplus(storage) == [1, 3]  # keep_last 2, keep_best 1
    assert _surplus(storage, 1) == [1, 3, 4]
    assert _surplus(storage, 1, 2) == [1, 4]
    assert _surplus(storage, 9) == []


def test_the_newest_that_is_whole_stays_and_damaged_ones_go(storage: str) -> None:
    data = bytearray(_file(storage, 5).read_bytes())
    data[-1] ^= 1
    _file(storage, 5).write_bytes(data)
    assert _surplus(storage, 1) == [1, 3, 5]
    _file(storage, 4).unlink()
    assert _surplus(storage, 1) == [1, 4, 5]


def test_where_nothing_is_whole_nothing_goes(storage: str) -> None:
    for step in VALUES:
        _file(storage, step).unlink()
    assert _surplus(storage, 1) == []


def test_of_a_live_run_the_newest_two_stay(storage: str) -> None:
    state = runs.read_run(storage, "one")
    runs.change_state(state, state="running")
    assert _surplus(storage, 1) == [1, 3, 4]  # its driver is dead
    with lock.beating(runs.run_directory(storage, "one"), every_s=0.05):
        assert _surplus(storage, 1, beat_limit_s=60) == [1, 3]


def test_what_is_chosen_is_deleted(storage: str) -> None:
    commits.delete_commits(storage, "one", [NAMES[1], NAMES[3]])
    assert [each.step for each in commits.list_facts(storage, "one")] == [2, 4, 5]
    assert not _file(storage, 1).parent.exists()


def test_an_unknown_run(storage: str) -> None:
    for look in (commits.list_facts, commits.find_damage):
        with pytest.raises(NotFoundError, match="no run other"):
            look(storage, "other")


def test_a_run_without_optimizer_state_does_not_go_on(storage: str) -> None:
    with pytest.raises(RecipeError, match="Run one is stopped, not succeeded"):
        commits.drop_optimizer(storage, "one")
    assert commits.goes_on(storage, "one")
    runs.change_state(runs.read_run(storage, "one"), state="succeeded")
    for step in VALUES:
        moments = {f"a|{what}|0": torch.ones(step) for what in ("weight", "exp_avg")}
        path = _file(storage, step)
        saved = write_tensors(str(path), moments)
        manifest = path.with_name("MANIFEST.json")
        told = read_manifest(f"{storage}/one", NAMES[step]).model_copy(update={"files": (saved,)})
        manifest.write_text(told.model_dump_json())
    sizes = {NAMES[step]: 4 * step for step in VALUES}
    assert commits.optimizer_bytes(storage, "one") == sizes
    assert commits.drop_optimizer(storage, "one") >= sum(sizes.values())
    facts = commits.list_facts(storage, "one")
    assert all(each.whole and not each.optimizer for each in facts)
    assert not commits.goes_on(storage, "one")
    before = runs.read_run(storage, "one")
    with pytest.raises(CheckpointError, match="Run one cannot go on: the optimizer state"):
        runs.take_over_run(storage, recipe(), "one.02", beat_limit_s=0.1)
    assert runs.read_run(storage, "one") == before
