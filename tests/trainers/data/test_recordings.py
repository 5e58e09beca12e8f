"""Recordings come back as they were written, whole or not at all."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.data.recordings import (
    Recording,
    Shape,
    Writer,
    chunks,
    delete_others,
    is_whole,
    lane_file,
)

LENGTHS = np.array([3, 1, 5, 2, 4], np.int32)
FIRST = 100


def _values(shape: Shape) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    counts = shape.counts(LENGTHS).tolist()
    sizes = [(n, *shape.tail) if shape.by_token else shape.tail for n in counts]
    return [torch.randn(size, generator=source).to(shape.dtype) for size in sizes]


def _written(folder: Path, shape: Shape) -> Path:
    path = lane_file(folder / "key", "train", (FIRST, FIRST + len(LENGTHS)))
    writer = Writer(path, shape)
    values = _values(shape)
    writer.write(values[:2])
    assert not is_whole(path)
    writer.write(values[2:])
    writer.finish()
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kept", "by_token", "tail"),
    [("all", True, (4,)), ("first", True, (4,)), ("last", True, (2, 3)), ("all", False, (2, 3, 3))],
)
def test_rows_come_back_in_any_order(
    kept: str, by_token: bool, tail: tuple[int, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    shape = Shape(kept, by_token, tail, dtype)
    path = _written(tmp_path, shape)
    assert is_whole(path)
    order = [4, 0, 3, 2]
    read = Recording(path, FIRST, shape).read(
        np.array(order, np.int64) + FIRST, LENGTHS[order], width=6
    )
    assert read.dtype == dtype
    assert read.shape == (4, *((6,) if by_token else ()), *tail)
    for row, place in enumerate(order):
        value, length = _values(shape)[place], int(LENGTHS[place])
        if not by_token:
            assert read[row].equal(value)
            continue
        start = length - 1 if kept == "last" else 0
        stop = length if kept == "all" else start + 1
        assert read[row, start:stop].equal(value)
        assert not read[row, :start].any()
        assert not read[row, stop:].any()
    assert shape.blank(6).shape == read[:1].shape


def test_bytes_are_those_of_what_is_kept(tmp_path: Path) -> None:
    tokens = int(LENGTHS.sum())
    every = Shape("all", True, (64,), torch.float32)
    assert every.num_bytes(5, tokens) == 15 * 64 * 4
    assert Shape("first", True, (64,), torch.bfloat16).num_bytes(5, tokens) == 5 * 64 * 2
    size = _written(tmp_path, every).stat().st_size
    assert 15 * 64 * 4 < size < 15 * 64 * 4 + 2000


def test_what_is_damaged_or_half_written_is_not_whole(tmp_path: Path) -> None:
    shape = Shape("all", True, (4,), torch.float32)
    path = _written(tmp_path, shape)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(path)
    path = _written(tmp_path, shape)
    assert is_whole(path)
    path.with_suffix(".json").write_text("{")
    assert not is_whole(path)
    writer = Writer(path, shape)
    writer.write(_values(shape))
    writer.abandon()
    assert sorted(f.suffix for f in path.parent.iterdir()) == [".arrow", ".json"]


def test_chunks_fit_into_memory_and_cover_a_lane() -> None:
    assert list(chunks(10, 12, 1.0)) == [(10, 12)]
    # 64 MiB: 16 rows of 4 MiB.
    assert list(chunks(0, 40, 4 * 2**20)) == [(0, 16), (16, 32), (32, 40)]
    assert list(chunks(0, 2, 2.0**40)) == [(0, 1), (1, 2)]


def test_the_oldest_others_go_first(tmp_path: Path) -> None:
    now = time.time()
    for age, name in enumerate(("mine", "new", "old")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train-000000000000-000000000100.arrow").write_bytes(bytes(100))
        os.utime(folder, (now - 100 * age, now - 100 * age))
    delete_others(tmp_path / "mine", 250)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine", "new"]
    delete_others(tmp_path / "mine", 10)
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
    delete_others(tmp_path / "absent" / "mine", 10)
