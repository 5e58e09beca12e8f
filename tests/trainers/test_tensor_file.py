"""Files of tensors: read by the library of their format, whole or not there, hashed as written."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from configs.errors import StorageError
from tests.object_store import ObjectStore
from trainers import storage
from trainers.tensor_file import KINDS, write_tensors


def _tensors() -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    values = torch.randint(0, 100, (3001,), generator=made)
    return {f"{kind}|weight|7": values[: 3000 - i].to(kind) for i, kind in enumerate(KINDS)} | {
        "empty|weight|0": torch.empty(0),
        "sliced|weight|0": torch.arange(10.0)[::2],
    }


def test_the_library_reads_back_every_type(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rank-00000.safetensors"
    saved = write_tensors(str(path), _tensors())
    assert (saved.name, saved.num_bytes) == (path.name, path.stat().st_size)
    assert saved.hash == storage.file_hash(path)
    read = load_file(path)
    assert read.keys() == _tensors().keys()
    for name, values in _tensors().items():
        assert read[name].dtype == values.dtype
        assert read[name].equal(values), name
    with safe_open(path, framework="pt") as opened:
        assert opened.get_slice("sliced|weight|0")[1:3].tolist() == [2.0, 4.0]


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    tensors = _tensors()
    turned = dict(reversed(tensors.items()))
    first = write_tensors(str(tmp_path / "a"), tensors)
    assert write_tensors(str(tmp_path / "b"), turned).hash == first.hash


def test_larger_than_a_chunk(tmp_path: Path) -> None:
    values = torch.randn(3 * 2**20 + 1)
    saved = write_tensors(str(tmp_path / "large"), {"a": values})
    assert saved.hash == storage.file_hash(tmp_path / "large")
    assert load_file(tmp_path / "large")["a"].equal(values)


def test_what_cannot_be_written_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="taken could not be written"):
        write_tensors(str(tmp_path / "taken"), {"a": torch.zeros(9)})
    assert storage.list_names(str(tmp_path)) == ["taken"]


def test_into_an_object_store(object_store: ObjectStore, tmp_path: Path) -> None:
    address = object_store.make_bucket("tensors") + "/run/rank-00000.safetensors"
    values = torch.randn(3 * 2**20)
    saved = write_tensors(address, {"a": values})
    storage.download(address, tmp_path / "back")
    assert storage.file_hash(tmp_path / "back") == saved.hash
    assert load_file(tmp_path / "back")["a"].equal(values)
