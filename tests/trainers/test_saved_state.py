"""A commit's own weights win over the frozen folder it names."""

from pathlib import Path

import torch

from trainers import checkpoint
from trainers.checkpoint import Cursor, Manifest
from trainers.partitions import Piece
from trainers.saved_state import SavedState


def _write(run_dir: Path, name: str, weights: dict[str, list[float]], frozen: str | None) -> None:
    folder = run_dir / "checkpoints" / name
    pieces = [Piece(n, "weight", 0, torch.tensor(values)) for n, values in weights.items()]
    saved = checkpoint._write_pieces(str(folder), "rank-00000.safetensors", pieces)
    manifest = Manifest(
        cursor=Cursor(step=1),
        data_fingerprint="",
        arithmetic={},
        parameters={n: len(values) for n, values in weights.items()},
        frozen=frozen,
        files=(saved,),
    )
    (folder / checkpoint.MANIFEST).write_text(manifest.model_dump_json())


def test_what_learned_since_is_not_taken_from_the_frozen_folder(tmp_path: Path) -> None:
    _write(tmp_path, "frozen.a01", {"a": [1.0, 2.0], "b": [3.0]}, None)
    _write(tmp_path, "step-00000001.a01", {"b": [4.0], "c": [5.0]}, "frozen.a01")
    saved = SavedState(str(tmp_path), "step-00000001.a01")
    assert saved.sizes == {"a": 2, "b": 1, "c": 1}
    assert saved.read("a", "weight", 1, 1).tolist() == [2.0]
    assert saved.read("b", "weight", 0, 1).tolist() == [4.0]
    assert saved.read("c", "weight", 0, 1).tolist() == [5.0]
    assert saved.manifest.cursor.step == 1


def test_a_commit_from_before_there_were_phases_stands_in_the_first() -> None:
    cursor = Cursor.model_validate({"epoch": 1, "step": 6})
    assert (cursor.phase, cursor.phase_starts) == (0, (0,))
