"""A commit's own weights win over the frozen folder it names."""

from pathlib import Path

import pytest
import torch

from configs.errors import CheckpointError
from tests.recipes import tiny_recipe
from trainers.arithmetic import arithmetic
from trainers.manifest import MANIFEST, Cursor, Manifest
from trainers.saved_state import SavedState, continued, read_best
from trainers.tensor_file import write_tensors


def _write(run_dir: Path, name: str, weights: dict[str, list[float]], frozen: str | None) -> None:
    folder = run_dir / "checkpoints" / name
    tensors = {f"{n}|weight|0": torch.tensor(values) for n, values in weights.items()}
    saved = write_tensors(str(folder / "rank-00000.safetensors"), tensors)
    manifest = Manifest(
        cursor=Cursor(step=1),
        data_fingerprint="",
        arithmetic={},
        parameters={n: len(values) for n, values in weights.items()},
        frozen=frozen,
        files=(saved,),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def test_what_learned_since_is_not_taken_from_the_frozen_folder(tmp_path: Path) -> None:
    _write(tmp_path, "frozen.a01", {"a": [1.0, 2.0], "b": [3.0]}, None)
    _write(tmp_path, "step-00000001.a01", {"b": [4.0], "c": [5.0]}, "frozen.a01")
    saved = SavedState(str(tmp_path), "step-00000001.a01")
    assert saved.sizes == {"a": 2, "b": 1, "c": 1}
    assert saved.read("a", "weight", 1, 1).tolist() == [2.0]
    assert saved.read("b", "weight", 0, 1).tolist() == [4.0]
    assert saved.read("c", "weight", 0, 1).tolist() == [5.0]
    assert saved.manifest.cursor.step == 1


def test_a_run_without_a_commit_has_no_weights_yet(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"one has no commit yet\. Wait for the first"):
        read_best(str(tmp_path / "one"), None)


def test_a_commit_from_before_there_were_phases_stands_in_the_first() -> None:
    cursor = Cursor.model_validate({"epoch": 1, "step": 6})
    assert (cursor.phase, cursor.phase_starts) == (0, (0,))


def test_other_data_or_another_recipe_go_on_only_if_that_is_allowed(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    saved = Manifest(
        cursor=Cursor(epoch=1, step=9, step_in_epoch=3, rows=36, id_sum=5),
        data_fingerprint="aa",
        arithmetic=arithmetic(recipe),
        parameters={},
        frozen=None,
        files=(),
    )
    assert continued(saved, "step-9", recipe, "aa", allow_change=False) is saved
    other = recipe.model_copy(update={"seed": 9})
    for changed, data, what in ((other, "aa", "seed"), (recipe, "bb", "data")):
        with pytest.raises(CheckpointError, match=f"other values of {what}.*--allow-change"):
            continued(saved, "step-9", changed, data, allow_change=False)
    assert continued(saved, "step-9", other, "aa", allow_change=True) is saved
    # Of other rows nobody knows which were seen: the epoch begins again, the steps go on.
    cursor = continued(saved, "step-9", recipe, "bb", allow_change=True).cursor
    assert cursor == Cursor(epoch=1, step=9)


def test_a_run_without_a_commit_has_no_best_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no commit yet"):
        read_best(str(tmp_path), None)
