"""Row ids: 128 bits of hash of a row's own content; what is done with them stands elsewhere.

The high half hashes the inputs, the low half inputs and target. So rows sorted by id have the same
inputs side by side, exact duplicates are equal, and what the high half decides (bucket, split) is
the same for all rows with the same inputs.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]

HIGH_SEED = 0x7468_6177
LOW_SEED = 0x726F_7773
SHARE_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def row_ids(inputs: Sequence[pa.Array], target: pa.Array | None) -> tuple[Hashes, Hashes]:
    """Hash rows of text columns without nulls; gives the high and the low halves of their ids.

    Without a target both hash the inputs alone.

    xxh3 (64 bits) over each value's UTF-8 bytes, each preceded by its number of bytes.
    """
    framed = [part for column in inputs for part in _framed(column)]
    whole = framed if target is None else [*framed, *_framed(target)]
    return _hash(framed, HIGH_SEED), _hash(whole, LOW_SEED)


def hash_values(values: pa.Array) -> Hashes:
    """Hash the values of one text column without nulls (xxh3, 64 bits)."""
    return _hash(_framed(values), HIGH_SEED)


def buckets(high: Hashes, num_buckets: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the bucket of each row by its leading bits; `num_buckets` is a power of two."""
    bits = num_buckets.bit_length() - 1
    assert num_buckets == 1 << bits, f"{num_buckets} is not a power of two"
    if bits == 0:
        return np.zeros(len(high), np.int64)
    return (high >> np.uint64(64 - bits)).astype(np.int64)


def draws(high: Hashes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Draw a number in [0, 1) for each row from its inputs, unrelated to the order of ids."""
    mixed = (high ^ (high >> np.uint64(32))) * SHARE_FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(29))) * SHARE_FACTOR
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def _framed(column: pa.Array) -> list[pa.Array]:
    """Give a column's numbers of bytes and its bytes."""
    values = column.cast(pa.large_string()).cast(pa.large_binary())
    sizes = pc.binary_length(values).to_numpy().astype("<i8")
    frames = pa.Array.from_buffers(pa.binary(8), len(sizes), [None, pa.py_buffer(sizes)])
    return [frames.cast(pa.large_binary()), values]


def _hash(parts: list[pa.Array], seed: int) -> Hashes:
    rows = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1].tolist()
    content = memoryview(data) if data is not None else memoryview(b"")
    hashes = (xxhash.xxh3_64_intdigest(content[start:stop], seed) for start, stop in pairwise(ends))
    return np.fromiter(hashes, np.uint64, count=len(rows))
