"""Damage of one commit, told by shares."""

from pathlib import Path

import torch

from tests.trainers.commits import made_manifest
from trainers.damage import find_damage, has_all_files
from trainers.manifest import Manifest
from trainers.tensor_file import write_tensors

NAME = "step-00000001.a01"


def _commit(run_dir: Path) -> tuple[Path, Manifest]:
    folder = run_dir / "checkpoints" / NAME
    files = tuple(
        write_tensors(str(folder / f"rank-{rank:05d}.safetensors"), {"a": torch.ones(9)})
        for rank in range(3)
    )
    manifest = made_manifest(1, files=files)
    (folder / "MANIFEST.json").write_text(manifest.model_dump_json())
    return folder, manifest


def test_each_share_tells_of_its_own_files(tmp_path: Path) -> None:
    folder, manifest = _commit(tmp_path)
    assert find_damage(str(tmp_path), NAME) == []
    assert has_all_files(str(tmp_path), manifest, NAME)
    data = bytearray((folder / "rank-00001.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "rank-00001.safetensors").write_bytes(data)
    (folder / "rank-00002.safetensors").unlink()
    told = [find_damage(str(tmp_path), NAME, share, 2) for share in range(2)]
    assert "rank-00002.safetensors does not exist" in told[0][0]
    assert told[1] == [f"{NAME}/rank-00001.safetensors does not have the bytes that were written"]
    assert sorted(find_damage(str(tmp_path), NAME)) == sorted(told[0] + told[1])


def test_sizes_alone_tell_what_is_missing(tmp_path: Path) -> None:
    folder, manifest = _commit(tmp_path)
    path = folder / "rank-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert not has_all_files(str(tmp_path), manifest, NAME)
    path.unlink()
    assert not has_all_files(str(tmp_path), manifest, NAME)


def test_frozen_weights_that_are_gone_damage_the_commit(tmp_path: Path) -> None:
    folder, manifest = _commit(tmp_path)
    manifest = manifest.model_copy(update={"frozen": "frozen.a01"})
    (folder / "MANIFEST.json").write_text(manifest.model_dump_json())
    assert "frozen.a01/MANIFEST.json is damaged" in find_damage(str(tmp_path), NAME)[0]
    assert not has_all_files(str(tmp_path), manifest, NAME)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder, _ = _commit(tmp_path)
    (folder / "rank-00000.safetensors").unlink()
    (folder / "rank-00000.safetensors").mkdir()
    assert "rank-00000.safetensors" in find_damage(str(tmp_path), NAME)[0]
