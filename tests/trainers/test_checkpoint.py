"""Commits: read back whoever wrote them, damage found before anything loads."""

from pathlib import Path

import pytest
import torch

from configs.errors import CheckpointError
from tests.on_ranks import on_ranks
from tests.trainers.commits import commit_now, made_manifest
from trainers import storage
from trainers.checkpoint import Reader, find_good_commit
from trainers.early_stopping import Best
from trainers.manifest import Cursor, list_commits, read_manifest, step_of
from trainers.partitions import Piece

NAMES = ["step-00000002.a01", "step-00000010.a01", "step-00000010.a02"]
FROZEN = "frozen.a01"


def _cursor(step: int) -> Cursor:
    return Cursor(step=step, id_sum=2**64 - 1, best=Best(value=0.25, step=2))


def _commit_all(rank: int, world_size: int, run_dir: str) -> None:
    for name in (FROZEN, *NAMES):
        is_frozen = name == FROZEN
        step = 0 if is_frozen else step_of(name)
        manifest = made_manifest(
            step,
            cursor=_cursor(step),
            parameters={"w": 8},
            # The oldest commit names no frozen weights, so that their damage leaves one to use.
            frozen=None if is_frozen or step == 2 else FROZEN,
        )
        piece = Piece("w", "weight", 4 * rank, torch.full((4,), float(step + rank)))
        commit_now(run_dir, name, [piece], manifest, rank)


def _find(rank: int, world_size: int, run_dirs: list[str]) -> list[tuple[str | None, list[str]]]:
    return [find_good_commit(run_dir, rank, world_size) for run_dir in run_dirs]


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
    assert list_commits(str(committed)) == NAMES
    manifest = read_manifest(str(committed), NAMES[1])
    assert manifest.cursor == _cursor(10)
    files = [file.name for file in manifest.files]
    assert files == ["rank-00000.safetensors", "rank-00001.safetensors"]
    reader = Reader(str(committed), NAMES[1], manifest)
    assert reader.read("w", "weight", 2, 4).tolist() == [10.0, 10.0, 11.0, 11.0]
    assert storage.list_names(str(committed / "checkpoints" / NAMES[1])) == [
        "MANIFEST.json",
        *files,
    ]


OF_THE_NEWEST = ("flipped", "truncated", "deleted", "manifest", "unfinished")
OF_THE_FROZEN = ("frozen flipped", "frozen truncated", "frozen deleted", "frozen manifest")
WORDS = {
    "flipped": "does not have the bytes that were written",
    "truncated": "bytes, ",
    "deleted": "does not exist",
    "manifest": "is damaged",
}


def _damage(folder: Path, kind: str) -> None:
    file, manifest = folder / "rank-00001.safetensors", folder / "MANIFEST.json"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    match kind:
        case "flipped":
            file.write_bytes(data)
        case "truncated":
            file.write_bytes(data[:-1])
        case "deleted":
            file.unlink()
        case "manifest":
            manifest.write_text("{")
        case "unfinished":
            manifest.unlink()


def test_damage_is_found_by_all_ranks_and_the_commit_before_is_used(
    committed: Path, tmp_path: Path
) -> None:
    runs = {kind: tmp_path / kind for kind in (*OF_THE_NEWEST, *OF_THE_FROZEN)}
    for kind, run in runs.items():
        newest = _copy(committed, run)
        folder = newest.parent / FROZEN if kind in OF_THE_FROZEN else newest
        _damage(folder, kind.split()[-1])
    by_rank = on_ranks(2, _find, [str(run) for run in runs.values()])
    assert by_rank[0] == by_rank[1]
    found = dict(zip(runs, by_rank[0], strict=True))
    # The frozen weights belong to both commits of step 10.
    used = {kind: NAMES[0] if kind in OF_THE_FROZEN else NAMES[1] for kind in runs}
    assert {kind: name for kind, (name, _) in found.items()} == used
    for kind, (_, problems) in found.items():
        word = WORDS.get(kind.split()[-1])
        assert word is None or any(word in said for said in problems), kind
        of_frozen = [said for said in problems if FROZEN in said]
        assert bool(of_frozen) == (kind in OF_THE_FROZEN), kind
    assert found["unfinished"][1] == []


def test_stretches_that_a_commit_lacks_are_named(committed: Path) -> None:
    reader = Reader(str(committed), NAMES[0], read_manifest(str(committed), NAMES[0]))
    with pytest.raises(CheckpointError, match="lacks elements 8 to 9 of weight of w"):
        reader.read("w", "weight", 4, 5)
