"""Check a prepared set that lies somewhere: names, sizes, counts; deep also every byte and id."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from configs.errors import NotFoundError
from configs.task_sections import ONE_LABEL
from trainers import storage
from trainers.data.encoding import count_classes
from trainers.data.proof import find_shared, read_column, read_ids
from trainers.data.store import Manifest, Shard, SplitInfo, SplitName, hex_sum, load_manifest

AGAIN = "Delete the set and prepare the data again"


def find_problems(data_dir: str, *, deep: bool = False) -> Iterator[str]:
    """Give a sentence for everything that is wrong; raises DataError for a manifest that is bad.

    Not deep: that the manifest is consistent and all shards are there with their sizes. Deep: also
    hashes and rows of all shards, sums of row ids, counts of labels, and that no input is in two
    splits.
    """
    manifest = load_manifest(data_dir)
    yield from _inconsistencies(manifest)
    damaged = False
    for info in manifest.splits.values():
        for shard in info.shards:
            problem = _shard_problem(data_dir, shard, deep=deep)
            if problem is not None:
                damaged = True
                address = storage.join(data_dir, shard.file)
                yield f"{address} {problem}. Delete {data_dir} and prepare the data again"
    if deep and not damaged:
        for name, info in manifest.splits.items():
            yield from _wrong_sums(data_dir, name, info)
            yield from _wrong_counts(data_dir, manifest, name)
        shards = {name: info.shards for name, info in manifest.splits.items()}
        yield from find_shared(data_dir, shards)


def _inconsistencies(manifest: Manifest) -> Iterator[str]:
    report, total = manifest.report, 0
    for name, info in manifest.splits.items():
        total += info.rows
        counts = {
            "its shards": sum(shard.rows for shard in info.shards),
            "its lengths": sum(info.lengths.values()),
        }
        if manifest.task_kind in ONE_LABEL:
            counts["its labels"] = sum(info.class_counts)
        for what, rows in counts.items():
            if rows != info.rows:
                yield (f"the manifest has {info.rows} rows in {name} and {rows} in {what}. {AGAIN}")
        if len(info.class_counts) != len(manifest.label_names):
            yield (
                f"the manifest counts {len(info.class_counts)} labels in {name} and names "
                f"{len(manifest.label_names)}. {AGAIN}"
            )
    gone = report.duplicates + sum(report.dropped.values())
    if report.rows_in != total + gone:
        yield (
            f"the manifest tells of {report.rows_in} rows read, {total} kept and {gone} dropped, "
            f"which do not add up. {AGAIN}"
        )


def _wrong_counts(data_dir: str, manifest: Manifest, name: SplitName) -> Iterator[str]:
    """Count the labels of a split again, where there are any."""
    if not manifest.label_names:
        return
    info = manifest.splits[name]
    counts = Counter[int]()
    for shard in info.shards:
        for label, count in enumerate(count_classes(read_column(data_dir, shard, "label"))):
            counts[label] += count
    for label, count in enumerate(info.class_counts):
        if counts[label] != count:
            yield (
                f"{name} has {counts[label]} rows of {manifest.label_names[label]} where the "
                f"manifest says {count}. {AGAIN}"
            )


def _shard_problem(data_dir: str, shard: Shard, *, deep: bool) -> str | None:
    address = storage.join(data_dir, shard.file)
    if not storage.exists(address):
        return "is missing"
    num_bytes = _size(address)
    if num_bytes != shard.num_bytes:
        return f"is damaged: {num_bytes} bytes where the manifest says {shard.num_bytes}"
    if not deep:
        return None
    with TemporaryDirectory(prefix="thaw-") as folder:
        path = storage.local_path(address) or Path(folder, shard.file)
        if storage.local_path(address) is None:
            storage.download(address, path)
        if storage.file_hash(path) != shard.hash:
            return "is damaged: its bytes are not those that were prepared"
    return None


def _size(address: str) -> int:
    path = storage.local_path(address)
    if path is not None:
        return path.stat().st_size
    with storage.open_input(address) as file:
        return int(file.size())


def _wrong_sums(data_dir: str, name: SplitName, info: SplitInfo) -> Iterator[str]:
    total = hex_sum(np.zeros(0, np.uint64))
    for shard in info.shards:
        try:
            _, row_ids = read_ids(data_dir, shard)
        except (ValueError, pa.ArrowInvalid, NotFoundError) as error:
            yield f"{shard.file} has no ids that can be read ({error}). {AGAIN}"
            return
        total = hex_sum(row_ids, total)
        if len(row_ids) != shard.rows:
            yield (
                f"{shard.file} has {len(row_ids)} rows where the manifest says {shard.rows}. "
                f"{AGAIN}"
            )
    if total != info.id_sum:
        yield (
            f"the row ids of {name} add up to {total} where the manifest says {info.id_sum}. "
            f"{AGAIN}"
        )
