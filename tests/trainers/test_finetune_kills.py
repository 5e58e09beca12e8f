"""Ranks killed before, inside and after each step of a commit end with the bits of an undisturbed
run once they are resumed, and leave nothing behind."""

import signal
from pathlib import Path

import pytest

from configs.schema import Recipe
from tests.on_ranks import on_ranks, on_ranks_that_die
from tests.recipes import tiny_recipe
from tests.trainers.deaths import HALF_BYTES, run_and_die
from tests.trainers.runs import Told, assert_same_bits, read_export, run_all
from trainers import storage
from trainers.data.preparation import prepare
from trainers.manifest import list_commits

FIRST, KILLED, NEXT = "step-00000002", "step-00000004", "step-00000006"
# What is about to be done when the rank dies, and the step that a resume begins behind.
MOMENTS = {
    "the first frozen weights are written": ("open", r"frozen\.a01/\.rank-\d+\.safetensors", 0),
    "frozen weights are sealed": ("os.rename", r"frozen\.a01/MANIFEST", 0),
    "the first commit is sealed": ("os.rename", rf"{FIRST}\.a01/MANIFEST", 0),
    "the folder is made": ("os.mkdir", rf"{KILLED}\.a01$", 2),
    "the share is opened": ("open", rf"{KILLED}\.a01/\.rank-\d+\.safetensors", 2),
    "the share is half written": ("write", rf"{KILLED}\.a01/\.rank-\d+\.safetensors", 2),
    "the share gets its name": ("os.rename", rf"{KILLED}\.a01/rank-\d+\.safetensors", 2),
    "the share is told of": ("open", rf"{KILLED}\.a01/\.rank-\d+\.json", 2),
    "what is told gets its name": ("os.rename", rf"{KILLED}\.a01/rank-\d+\.json", 2),
    "the manifest is written": ("open", rf"{KILLED}\.a01/\.MANIFEST", 2),
    "the manifest gets its name": ("os.rename", rf"{KILLED}\.a01/MANIFEST", 2),
    "what was told is deleted": ("os.remove", rf"{KILLED}\.a01/rank-\d+\.json", 4),
    "the old manifest is deleted": ("os.remove", rf"{FIRST}\.a01/MANIFEST", 4),
    "a file of the old commit is deleted": ("os.remove", rf"{FIRST}\.a01/rank-\d+\.safetensors", 4),
    "the old commit is deleted": ("os.rmdir", rf"{FIRST}\.a01$", 4),
    "the next commit begins": ("os.mkdir", rf"{NEXT}\.a01$", 4),
}
ON_TWO = (
    (1, "the share is half written"),
    (1, "the share is told of"),
    (0, "the manifest gets its name"),
    (0, "the old manifest is deleted"),
)

pytestmark = pytest.mark.proof


def _recipe(folder: Path, name: str, stage: int) -> Recipe:
    checkpoint = {"every_steps": 2, "every_epochs": None, "keep_last": 1}
    return tiny_recipe(
        folder,
        name=name,
        epochs=1,
        zero={"stage": stage},
        freezing={"last": 1},
        checkpoint=checkpoint,
    )


def _check(recipe: Recipe, told: Told, twin: Recipe, begins: int) -> None:
    """Check that a resumed run took just the steps that were lost, and reached the same bits."""
    assert told.ended.state == "succeeded"
    assert sorted(told.losses()) == list(range(begins + 1, 7)), recipe.name
    assert_same_bits(read_export(recipe), read_export(twin))
    run_dir = Path(recipe.storage, recipe.name)
    (commit,) = list_commits(str(run_dir))
    assert commit == f"{NEXT}.a02"
    left = storage.list_names(str(run_dir / "checkpoints"))
    assert [name for name in left if name.startswith("step-")] == [commit]
    assert len([name for name in left if name.startswith("frozen")]) == 1
    files = [path for path in run_dir.rglob("*") if path.name.endswith((".tmp", ".json"))]
    assert {path.name for path in files if "checkpoints" in path.parts} == {"MANIFEST.json"}


@pytest.mark.parametrize(
    ("world_size", "stage", "cases"),
    [(1, 0, tuple((0, moment) for moment in MOMENTS)), (2, 2, ON_TWO)],
)
def test_a_rank_killed_at_any_moment_of_a_commit(
    world_size: int, stage: int, cases: tuple[tuple[int, str], ...], tmp_path: Path
) -> None:
    recipes = {case: _recipe(tmp_path, f"killed-{n}", stage) for n, case in enumerate(cases)}
    twin = _recipe(tmp_path, "twin", stage)
    data_dir = prepare(twin, twin.storage).data_dir
    for (victim, moment), recipe in recipes.items():
        event, pattern, _ = MOMENTS[moment]
        signals = on_ranks_that_die(
            world_size, run_and_die, recipe, data_dir, victim, event, pattern
        )
        by = signal.SIGXFSZ if event == "write" else signal.SIGKILL
        assert signals[victim] == by, moment
        if event == "write":
            folder = Path(recipe.storage, recipe.name, "checkpoints", f"{KILLED}.a01")
            (half,) = folder.glob(f".rank-{victim:05d}.safetensors.*.tmp")
            assert half.stat().st_size == HALF_BYTES
    told = on_ranks(world_size, _resume_all, [*recipes.values(), twin], data_dir, seconds=250)[0]
    for ((_, moment), recipe), each in zip(recipes.items(), told[:-1], strict=True):
        _check(recipe, each, twin, begins=MOMENTS[moment][2])


def _resume_all(rank: int, world_size: int, recipes: list[Recipe], data_dir: str) -> list[Told]:
    return run_all(rank, world_size, recipes, data_dir, 2, 0)
