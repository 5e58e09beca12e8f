"""A live run opened again: what it takes up, what it refuses."""

import shutil
from pathlib import Path

import pytest

from configs.errors import TrainingError
from configs.records import Note
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import run_all
from trainers import storage
from trainers.data.preparation import prepare
from trainers.finetune import finetune
from trainers.manifest import list_commits
from trainers.place import Place
from trainers.session import Session


def _finetune_or_say(
    rank: int, world_size: int, recipe: Recipe, data_dir: str
) -> tuple[str, list[str]]:
    """Run one attempt; returns how it ended or the error's class and words, and the notes."""
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 3, "cpu")
    notes: list[str] = []

    def report(record: object) -> None:
        if isinstance(record, Note):
            notes.append(record.text)

    try:
        ended = finetune(recipe, place, report, lambda: False)
    except Exception as error:
        return f"{type(error).__name__}: {error}", notes
    return ended.state, notes


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, str]:
    """A run of two ranks that was stopped after step 3, with a commit at each step."""
    folder = tmp_path_factory.mktemp("session")
    recipe = tiny_recipe(folder, zero={"stage": 2}, checkpoint={"every_steps": 1}, epochs=1)
    data_dir = prepare(recipe, recipe.storage).data_dir
    on_ranks(2, run_all, [recipe], data_dir, 1, 3)
    return recipe, data_dir


@pytest.fixture
def stopped(original: tuple[Recipe, str], tmp_path: Path) -> tuple[Recipe, str]:
    """A copy of that run."""
    recipe, data_dir = original
    shutil.copytree(recipe.storage, tmp_path / "runs")
    return recipe.model_copy(update={"storage": str(tmp_path / "runs")}), data_dir


def test_a_damaged_commit_is_said_and_the_one_before_is_used(stopped: tuple[Recipe, str]) -> None:
    recipe, data_dir = stopped
    run_dir = storage.join(recipe.storage, recipe.name)
    names = list_commits(run_dir)
    assert names == ["step-00000002.a01", "step-00000003.a01"]
    for name in names[1:]:
        path = Path(run_dir, "checkpoints", name, "rank-00001.safetensors")
        path.write_bytes(path.read_bytes()[:-1])
    state, notes = on_ranks(2, _finetune_or_say, recipe, data_dir)[0]
    assert state == "succeeded"
    assert len(notes) == 1
    assert "step-00000003.a01" in notes[0]
    assert "The commit before it is used" in notes[0]
    assert list_commits(run_dir) == ["step-00000005.a03", "step-00000006.a03"]


def test_no_commit_that_can_be_trusted_ends_the_run(stopped: tuple[Recipe, str]) -> None:
    recipe, data_dir = stopped
    run_dir = storage.join(recipe.storage, recipe.name)
    for name in list_commits(run_dir):
        Path(run_dir, "checkpoints", name, "rank-00000.safetensors").unlink()
    for said, _ in on_ranks(2, _finetune_or_say, recipe, data_dir):
        assert said.startswith("CheckpointError: no commit of")


def test_a_recipe_with_other_numbers_is_refused(stopped: tuple[Recipe, str]) -> None:
    recipe, data_dir = stopped
    optimizer = recipe.optimizer.model_copy(update={"learning_rate": 0.5})
    other = recipe.model_copy(update={"seed": 9, "optimizer": optimizer})
    for said, _ in on_ranks(2, _finetune_or_say, other, data_dir):
        assert said.startswith("CheckpointError: commit step-00000003.a01 was made with other")
        assert "seed, optimizer" in said


def _load_best(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> str:
    """Change a frozen weight as broken memory would before the best weights are loaded."""
    run_dir = f"{recipe.storage}/{recipe.name}"
    place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    session.advance(step=1, best_checkpoint="step-00000000.a01")
    session.model.get_input_embeddings().weight.data[0, 0] += 1
    with pytest.raises(TrainingError) as refused:
        session.load_best()
    return str(refused.value)


def test_a_frozen_weight_that_changed_ends_the_run_before_its_best_is_loaded(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(tmp_path, freezing={"mode": "head"})
    data_dir = prepare(recipe, recipe.storage).data_dir
    (said,) = on_ranks(1, _load_best, recipe, data_dir)
    assert said.startswith("a frozen weight changed during training, which must never be. Report")
