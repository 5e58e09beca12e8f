"""Dropping optimizer state: the weights stay as they were, whoever is killed on the way."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.errors import CheckpointError
from tests.trainers.commits import made_manifest
from trainers import optimizer_state
from trainers.damage import find_damage, has_all_files
from trainers.manifest import MANIFEST, read_manifest
from trainers.optimizer_state import (
    drop_optimizer,
    droppable_bytes,
    has_optimizer,
    require_optimizer,
)
from trainers.retention import delete_commits
from trainers.saved_state import SavedState
from trainers.tensor_file import write_tensors

NAMES = ["step-00000002.a01", "step-00000004.a01"]
ROWS = 64


def tensors_of(rank: int) -> dict[str, torch.Tensor]:
    """What a rank writes: half of a weight, two moments of it, and a buffer."""
    values = torch.arange(ROWS, dtype=torch.float32) + rank
    moments = {f"w|{what}|{rank * ROWS}": values / 7 for what in ("exp_avg", "exp_avg_sq")}
    return {f"w|weight|{rank * ROWS}": values, "b|buffer|0": values[:4], **moments}


@pytest.fixture
def run_dir(tmp_path: Path) -> str:
    """A run with two commits of two ranks."""
    for number, name in enumerate(NAMES):
        folder = tmp_path / "checkpoints" / name
        files = tuple(
            write_tensors(str(folder / f"rank-{rank:05d}.safetensors"), tensors_of(rank))
            for rank in range(2)
        )
        parameters = {"w": 2 * ROWS}
        manifest = made_manifest(2 + 2 * number, files=files, parameters=parameters)
        (folder / MANIFEST).write_text(manifest.model_dump_json())
    return str(tmp_path)


def files_of(run_dir: str, name: str) -> dict[str, bytes]:
    folder = Path(run_dir, "checkpoints", name)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def weights_of(run_dir: str, name: str) -> list[float]:
    return [*SavedState(run_dir, name).read("w", "weight", 0, 2 * ROWS).tolist()]


def test_weights_and_buffers_stay_and_all_else_goes(run_dir: str) -> None:
    before = weights_of(run_dir, NAMES[1])
    # Of each rank two moments of 64 numbers of 4 bytes.
    assert droppable_bytes(run_dir) == dict.fromkeys(NAMES, 2 * 2 * ROWS * 4)
    assert has_optimizer(run_dir)
    freed = drop_optimizer(run_dir, NAMES)
    # The headers of the files go with them in part.
    assert 2 * 2 * 2 * ROWS * 4 <= freed < 2 * (2 * 2 * ROWS * 4 + 1_000)
    assert not has_optimizer(run_dir)
    for name in NAMES:
        assert sorted(files_of(run_dir, name)) == [
            MANIFEST,
            "weights-00000.safetensors",
            "weights-00001.safetensors",
        ]
        assert find_damage(run_dir, name) == [] and weights_of(run_dir, name) == before
        found = load_file(Path(run_dir, "checkpoints", name, "weights-00001.safetensors"))
        assert sorted(found) == ["b|buffer|0", f"w|weight|{ROWS}"]
    assert droppable_bytes(run_dir) == dict.fromkeys(NAMES, 0)
    assert drop_optimizer(run_dir, NAMES) == 0
    with pytest.raises(CheckpointError, match="no optimizer state any more: it was dropped"):
        require_optimizer(run_dir, NAMES[1], read_manifest(run_dir, NAMES[1]))


class Killed(BaseException):
    """What stands for a kill."""


class Deaths:
    """Dies before the n-th writing, renaming or deleting of a file below a folder, and after it."""

    def __init__(self) -> None:
        """Listen: Python tells an audit hook of such a thing before it is done."""
        self.folder: str | None = None
        self.left = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if self.folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        writes = event != "open" or (given[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if writes and str(given[0]).startswith(self.folder):
            self.left -= 1
            if self.left < 0:
                raise Killed


DEATHS = Deaths()


def test_a_kill_at_any_file_leaves_commits_that_are_whole(tmp_path: Path, run_dir: str) -> None:
    before, states = weights_of(run_dir, NAMES[0]), set()
    for at in range(100):
        again = str(tmp_path / f"killed-{at}")
        shutil.copytree(f"{run_dir}/checkpoints", f"{again}/checkpoints")
        DEATHS.left, DEATHS.folder = at, again
        try:
            drop_optimizer(again, NAMES)
        except Killed:
            pass
        else:
            break
        finally:
            DEATHS.folder = None
        for name in NAMES:
            manifest = read_manifest(again, name)
            assert has_all_files(again, manifest, name) and find_damage(again, name) == []
            assert weights_of(again, name) == before
            names = {saved.name for saved in manifest.files}
            assert all(file.startswith("rank-") == manifest.has_optimizer for file in names)
        states.add(tuple(read_manifest(again, name).has_optimizer for name in NAMES))
        assert any(droppable_bytes(again).values())
        drop_optimizer(again, NAMES)
        assert not any(droppable_bytes(again).values())
        assert len(files_of(again, NAMES[0])) == 3
    assert states == {(True, True), (True, False), (False, False)}  # the newest goes first
    assert at >= 2 * 8  # each commit: three files written and renamed, two deleted


def test_a_damaged_commit_stays_as_it_is(run_dir: str) -> None:
    path = Path(run_dir, "checkpoints", NAMES[0], "rank-00001.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    before = files_of(run_dir, NAMES[0])
    with pytest.raises(CheckpointError, match=r"rank-00001.* Nothing of step-00000002.a01 was"):
        drop_optimizer(run_dir, NAMES)
    assert files_of(run_dir, NAMES[0]) == before


def test_a_persons_file_in_a_commit_stays_and_what_is_ours_can_be_deleted(run_dir: str) -> None:
    notes = Path(run_dir, "checkpoints", NAMES[0], "notes.txt")
    notes.write_text("theirs")
    drop_optimizer(run_dir, NAMES)
    assert notes.read_text() == "theirs"
    delete_commits(run_dir, NAMES)
    assert [path.name for path in Path(run_dir, "checkpoints").rglob("*") if path.is_file()] == [
        "notes.txt"
    ]


def test_a_run_without_commits_has_nothing_to_drop(tmp_path: Path) -> None:
    assert droppable_bytes(str(tmp_path)) == {}
    assert has_optimizer(str(tmp_path))
    assert optimizer_state.drop_optimizer(str(tmp_path), []) == 0
