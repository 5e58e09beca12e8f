"""The store: what is written reads back from anywhere; a damaged shard is named, never read."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from configs.errors import DataError, NotFoundError
from trainers import storage
from trainers.data.store import (
    MANIFEST,
    MAX_OPEN_SHARDS,
    CleaningReport,
    Manifest,
    Split,
    SplitInfo,
    hex_sum,
    load_manifest,
    open_split,
    write_shard,
)


def make_set(folder: Path, sizes: list[int]) -> Manifest:
    """Shards whose row r holds r as id, r tokens mod 7, in all columns the reader needs."""
    folder.mkdir(parents=True, exist_ok=True)
    shards, first = [], 0
    for number, size in enumerate(sizes):
        rows = np.arange(first, first + size)
        tokens = pa.array([[int(row)] * int(row % 7) for row in rows], pa.list_(pa.int32()))
        columns = {
            "input_ids": tokens,
            "length": pa.array(rows % 7, pa.int32()),
            "row_id": pa.array(rows.astype(np.uint64)),
        }
        shards.append(write_shard(str(folder), f"train-{number:05d}.arrow", pa.table(columns)))
        first += size
    info = SplitInfo(rows=first, id_sum="0" * 16, shards=tuple(shards), lengths={}, class_counts=())
    report = CleaningReport(
        rows_in=first, rows_in_by_split={}, duplicates=0, dropped={}, conflicts=0, examples={}
    )
    manifest = Manifest(
        fingerprint="f" * 32,
        task_kind="text_classification",
        label_names=("a", "b"),
        splits={"train": info},
        report=report,
        max_length=8,
        pad_token_id=0,
    )
    storage.write_atomically(str(folder / MANIFEST), manifest.model_dump_json().encode())
    return manifest


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    manifest = make_set(tmp_path, [3])
    assert load_manifest(str(tmp_path)) == manifest


def test_an_absent_or_damaged_manifest_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no manifest.json. Prepare the data first"):
        load_manifest(str(tmp_path))
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(DataError, match=r"manifest.json is damaged"):
        load_manifest(str(tmp_path))


@pytest.mark.parametrize("asked", [[4], [9, 0, 3, 3, 7], [0, 1, 2], [], list(range(10))[::-1]])
def test_rows_come_in_the_order_asked_for(tmp_path: Path, asked: list[int]) -> None:
    split = open_split(str(tmp_path), make_set(tmp_path, [4, 1, 5]), "train")
    rows = split.read(np.array(asked, np.int64))
    assert rows["row_id"].to_pylist() == asked
    assert rows["input_ids"].to_pylist() == [[row] * (row % 7) for row in asked]
    assert rows["row_id"].num_chunks == 1


def test_lengths_cross_shards(tmp_path: Path) -> None:
    split = open_split(str(tmp_path), make_set(tmp_path, [4, 1, 5]), "train")
    for start in range(11):
        for stop in range(start, 11):
            lengths = split.lengths(start, stop)
            assert lengths.dtype == np.int32
            assert lengths.tolist() == [row % 7 for row in range(start, stop)]


def test_a_split_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no test split, only train. Set data.test"):
        open_split(str(tmp_path), make_set(tmp_path, [3]), "test")


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def swap(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(delete, "is missing"), (cut, "bytes where"), (flip, "its bytes are not")],
)
def test_a_damaged_shard_is_named_and_the_others_are_read(
    tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    manifest = make_set(tmp_path, [50, 50])
    damage(tmp_path / "train-00001.arrow")
    split = open_split(str(tmp_path), manifest, "train")
    assert split.read(np.arange(50)).num_rows == 50
    with pytest.raises(
        DataError, match=rf"train-00001.arrow {problem}.*prepare the data again|{problem}"
    ):
        split.read(np.array([50]))
    with pytest.raises(DataError, match=r"train-00001.arrow"):
        split.lengths(40, 60)


@pytest.mark.parametrize("change", [cut, flip, swap])
def test_a_shard_that_changes_under_a_reader_is_found_before_its_rows_are_given(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    split = open_split(str(tmp_path), make_set(tmp_path, [4, 5]), "train")
    assert split.read(np.arange(9))["row_id"].to_pylist() == list(range(9))
    change(tmp_path / "train-00000.arrow")
    assert split.read(np.arange(4, 9))["row_id"].to_pylist() == list(range(4, 9))
    for _ in range(2):
        with pytest.raises(DataError, match=r"train-00000.arrow is damaged: .*prepare the data ag"):
            split.read(np.arange(4))


def test_a_shard_that_is_written_again_with_the_same_bytes_or_deleted_is_read_on(
    tmp_path: Path,
) -> None:
    split = open_split(str(tmp_path), make_set(tmp_path, [4]), "train")
    path = tmp_path / "train-00000.arrow"
    split.read(np.arange(4))
    content = path.read_bytes()
    path.unlink()  # its bytes stay as long as they are mapped
    assert split.read(np.arange(4))["row_id"].to_pylist() == [0, 1, 2, 3]
    path.write_bytes(content)
    assert split.read(np.arange(4))["row_id"].to_pylist() == [0, 1, 2, 3]


def test_without_verifying_a_cut_shard_is_still_refused(tmp_path: Path) -> None:
    manifest = make_set(tmp_path, [50])
    cut(tmp_path / "train-00000.arrow")
    with pytest.raises(DataError, match=r"train-00000.arrow is damaged"):
        open_split(str(tmp_path), manifest, "train", verify=False).read(np.array([0]))


def test_many_threads_read_the_same_rows(tmp_path: Path) -> None:
    sizes = [5] * (MAX_OPEN_SHARDS + 20)
    split = open_split(str(tmp_path), make_set(tmp_path, sizes), "train")
    orders = [np.random.default_rng(seed).permutation(sum(sizes)) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(split.read, orders))
    for order, table in zip(orders, tables, strict=True):
        assert table["row_id"].to_pylist() == order.tolist()


def test_remote_shards_are_fetched_when_needed_and_once(tmp_path: Path) -> None:
    manifest = make_set(tmp_path / "far", [4, 4, 4])
    fetched = []

    def fetch(address: str, local: Path) -> None:
        fetched.append(address)
        storage.download(str(tmp_path / "far" / address.rpartition("/")[2]), local)

    def opened() -> list[int]:
        split = open_split(
            "s3://bucket/set", manifest, "train", cache_dir=tmp_path / "near", fetch=fetch
        )
        return split.read(np.array([9, 1]))["row_id"].to_pylist()

    assert opened() == [9, 1]
    assert sorted(fetched) == [
        "s3://bucket/set/train-00000.arrow",
        "s3://bucket/set/train-00002.arrow",
    ]
    assert opened() == [9, 1]
    assert len(fetched) == 2
    flip(tmp_path / "near" / manifest.fingerprint / "train-00000.arrow")
    assert opened() == [9, 1]
    assert len(fetched) == 3


def test_remote_shards_are_kept_within_a_limit_and_fetched_again(tmp_path: Path) -> None:
    manifest = make_set(tmp_path / "far", [4, 4, 4])
    fetched = []

    def fetch(address: str, local: Path) -> None:
        fetched.append(address)
        storage.download(str(tmp_path / "far" / address.rpartition("/")[2]), local)

    def opened() -> Split:
        near = tmp_path / "near"
        return open_split(
            "s3://bucket/set", manifest, "train", cache_dir=near, cache_bytes=1, fetch=fetch
        )

    assert opened().read(np.array([9, 1, 5]))["row_id"].to_pylist() == [9, 1, 5]
    assert len(list((tmp_path / "near").rglob("*.arrow"))) == 1
    assert opened().read(np.array([9, 1, 5]))["row_id"].to_pylist() == [9, 1, 5]
    assert len(fetched) == 6


def test_a_damaged_remote_shard_is_a_data_error(tmp_path: Path) -> None:
    manifest = make_set(tmp_path / "far", [4])
    flip(tmp_path / "far" / "train-00000.arrow")

    def fetch(address: str, local: Path) -> None:
        storage.download(str(tmp_path / "far" / address.rpartition("/")[2]), local)

    split = open_split("s3://bucket/set", manifest, "train", cache_dir=tmp_path, fetch=fetch)
    with pytest.raises(DataError, match=r"train-00000.arrow is damaged"):
        split.read(np.array([0]))


def test_a_remote_shard_that_is_gone_is_a_data_error(tmp_path: Path) -> None:
    manifest = make_set(tmp_path / "far", [4])

    def fetch(address: str, local: Path) -> None:
        raise NotFoundError(f"{address} does not exist")

    split = open_split("s3://bucket/set", manifest, "train", cache_dir=tmp_path, fetch=fetch)
    with pytest.raises(DataError, match=r"^s3://bucket/set/train-00000.arrow is missing. Prepare"):
        split.read(np.array([0]))


def test_sums_of_row_ids_wrap_at_64_bits() -> None:
    ids = np.array([2**64 - 1, 5], np.uint64)
    assert hex_sum(ids) == "0000000000000004"
    assert hex_sum(ids, start="ffffffffffffffff") == "0000000000000003"
