"""Commits: whole or nothing, damage found before anything loads, old ones deleted."""

from pathlib import Path

import pytest
import torch

from configs.errors import CheckpointError, StorageError
from tests.on_ranks import on_ranks
from trainers import checkpoint, storage
from trainers.checkpoint import Cursor, Manifest, Reader
from trainers.early_stopping import Best
from trainers.partitions import Piece

NAMES = ["step-00000002.a01", "step-00000010.a01", "step-00000010.a02"]


def _manifest(step: int) -> Manifest:
    return Manifest(
        cursor=Cursor(step=step, id_sum=2**64 - 1, best=Best(value=0.25, step=2)),
        data_fingerprint="f",
        arithmetic={"seed": 0},
        parameters={"w": 8},
        frozen=None,
        files=(),
    )


def _commit_all(rank: int, world_size: int, run_dir: str) -> None:
    for name in NAMES:
        step = checkpoint.step_of(name)
        values = torch.full((4,), float(step + rank))
        piece = Piece("w", "weight", 4 * rank, values)
        checkpoint.commit(run_dir, name, [piece], _manifest(step), rank)


def _find(rank: int, world_size: int, run_dirs: list[str]) -> list[tuple[str | None, list[str]]]:
    return [checkpoint.find_good_commit(run_dir, rank, world_size) for run_dir in run_dirs]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with three commits by two ranks."""
    run_dir = tmp_path_factory.mktemp("run")
    on_ranks(2, _commit_all, str(run_dir))
    return run_dir


def _copy(committed: Path, target: Path) -> Path:
    for path in sorted(committed.rglob("*")):
        if path.is_file():
            storage.upload(path, str(target / path.relative_to(committed)))
    return target / "checkpoints" / NAMES[2]


def test_a_commit_reads_back_whoever_wrote_it(committed: Path) -> None:
    assert checkpoint.list_commits(str(committed)) == NAMES
    manifest = checkpoint.read_manifest(str(committed), NAMES[1])
    assert manifest.cursor == Cursor(step=10, id_sum=2**64 - 1, best=Best(value=0.25, step=2))
    assert [file.name for file in manifest.files] == [
        "rank-00000.safetensors",
        "rank-00001.safetensors",
    ]
    reader = Reader(str(committed), NAMES[1], manifest)
    assert reader.read("w", "weight", 2, 4).tolist() == [10.0, 10.0, 11.0, 11.0]


def test_damage_is_found_by_all_ranks_and_the_commit_before_is_used(
    committed: Path, tmp_path: Path
) -> None:
    kinds = ("flipped", "truncated", "deleted", "manifest", "unfinished")
    runs = {kind: tmp_path / kind for kind in kinds}
    newest = {kind: _copy(committed, run) for kind, run in runs.items()}
    file = "rank-00001.safetensors"
    data = bytearray((newest["flipped"] / file).read_bytes())
    data[-1] ^= 1
    (newest["flipped"] / file).write_bytes(data)
    (newest["truncated"] / file).write_bytes(data[:-1])
    (newest["deleted"] / file).unlink()
    (newest["manifest"] / "MANIFEST.json").write_text("{")
    (newest["unfinished"] / "MANIFEST.json").unlink()
    by_rank = on_ranks(2, _find, [str(run) for run in runs.values()])
    assert by_rank[0] == by_rank[1]
    found = dict(zip(kinds, by_rank[0], strict=True))
    assert all(name == NAMES[1] for name, _ in found.values())
    words = {
        "flipped": "does not have the bytes that were written",
        "truncated": "bytes, ",
        "deleted": "does not exist",
        "manifest": "is damaged",
    }
    for kind, word in words.items():
        assert any(word in problem for problem in found[kind][1]), kind
    assert found["unfinished"][1] == []


def test_old_commits_are_deleted_but_the_best(committed: Path, tmp_path: Path) -> None:
    _copy(committed, tmp_path)
    checkpoint.delete_old_commits(str(tmp_path), keep_last=1, keep=NAMES[0])
    assert checkpoint.list_commits(str(tmp_path)) == [NAMES[0], NAMES[2]]
    checkpoint.delete_old_commits(str(tmp_path), keep_last=1, keep=None)
    assert storage.list_names(str(tmp_path / "checkpoints")) == [NAMES[2]]


def _commit_into_a_file(rank: int, world_size: int, run_dir: str) -> tuple[str, list[str]]:
    """Rank 1 cannot write: its name is taken by a folder."""
    folder = storage.join(run_dir, "checkpoints", NAMES[0])
    if rank == 1:
        storage.make_folder(storage.join(folder, "rank-00001.safetensors"))
    try:
        checkpoint.commit(
            run_dir, NAMES[0], [Piece("w", "weight", 0, torch.zeros(1))], _manifest(2), rank
        )
    except StorageError as error:
        return str(error), storage.list_names(storage.join(run_dir, "checkpoints"))
    return "", []


def test_one_rank_that_cannot_write_fails_all_and_leaves_nothing(tmp_path: Path) -> None:
    answers = on_ranks(2, _commit_into_a_file, str(tmp_path))
    assert all("rank-00001.safetensors could not be written" in said for said, _ in answers)
    assert answers[0][1] == []
    assert checkpoint.list_commits(str(tmp_path)) == []


def test_a_manifest_that_is_no_json_is_damaged(committed: Path, tmp_path: Path) -> None:
    folder = _copy(committed, tmp_path)
    (folder / "MANIFEST.json").write_text('{"version": 2}')
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.read_manifest(str(tmp_path), NAMES[2])
