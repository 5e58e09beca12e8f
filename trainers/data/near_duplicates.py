"""Which texts are nearly the same: MinHash over word shingles, then the true Jaccard similarity.

Broder, "On the resemblance and containment of documents", 1997; bands as in Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3. Pure functions; near_stages.py carries rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from configs.cleaning_sections import NearDuplicates
from trainers.data.row_ids import Hashes

RECALL = 0.98
"""A pair at the threshold is to be found at least so surely."""
PARTNERS = 8
"""Rows before it with which a row of the same band is compared, beside the first of all."""
SKETCH_SHINGLES = 2**20
"""Most shingles whose permutations are held at once."""
MIX = np.uint64(0x9E37_79B9_7F4A_7C15)


Bands = np.ndarray[tuple[int, int], np.dtype[np.uint64]]


@dataclass(frozen=True)
class Shingles:
    """The set of shingle hashes of each row: those from its start up to the next row's."""

    hashes: Hashes
    starts: np.ndarray[tuple[int], np.dtype[np.int64]]
    """One more than there are rows."""

    def of_row(self, row: int) -> Hashes:
        """Give the shingles of one row."""
        return self.hashes[self.starts[row] : self.starts[row + 1]]


def bands(rules: NearDuplicates) -> tuple[int, int]:
    """Give the number of bands and the signature rows in each.

    The widest bands that still find a pair at the threshold with a chance of RECALL.
    """
    for rows in range(rules.permutations, 1, -1):
        number = rules.permutations // rows
        if 1 - (1 - rules.threshold**rows) ** number >= RECALL:
            return number, rows
    return rules.permutations, 1


def shingle(inputs: Sequence[pa.ChunkedArray], shingle_words: int) -> Shingles:
    """Cut texts into the hashes of their shingles, in lower case; each row has one at least."""
    parts = [_column_shingles(column, shingle_words, place) for place, column in enumerate(inputs)]
    rows = np.concatenate([np.repeat(np.arange(len(s) - 1), np.diff(s)) for _, s in parts])
    hashes = np.concatenate([h for h, _ in parts])
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    num_rows = len(parts[0][1]) - 1
    starts = np.searchsorted(rows[first], np.arange(num_rows + 1))
    return Shingles(hashes[first], starts.astype(np.int64))


def band_hashes(shingles: Shingles, rules: NearDuplicates) -> Bands:
    """Give one hash a row and band; near-duplicates agree in one of them almost surely."""
    number, rows = bands(rules)
    factors, offsets = _permutations(number * rows)
    num_rows = len(shingles.starts) - 1
    found = np.empty((num_rows, number), np.uint64)
    for start, stop in _pieces(shingles.starts):
        begin, end = shingles.starts[start], shingles.starts[stop]
        hashes = shingles.hashes[begin:end]
        for band in range(number):
            mixed = np.full(stop - start, band, np.uint64)
            for place in range(band * rows, (band + 1) * rows):
                # Multiply-shift: the upper bits of a product mod 2^64 are nearly independent.
                permuted = hashes * factors[place] + offsets[place]
                least = np.minimum.reduceat(permuted, shingles.starts[start:stop] - begin)
                mixed = _mix(mixed ^ least)
            found[start:stop, band] = mixed
    return found


def jaccard(first: Hashes, second: Hashes) -> float:
    """Give the share of shingles in both among those in either; each is sorted and unique."""
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def pair_up(
    keys: Hashes, strength: np.ndarray[tuple[int], np.dtype[np.int8]], high: Hashes
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Pair rows with the same key; gives the numbers of the weaker and the stronger row of each.

    A row is stronger with more strength, or the same and a smaller id. Each is paired with the
    strongest of its key and the few next stronger ones, so pairs grow with rows, not their square.
    """
    order = np.lexsort((high, -strength, keys))
    keys = keys[order]
    place = np.arange(len(order))
    fresh = np.ones(len(order), bool)
    fresh[1:] = keys[1:] != keys[:-1]
    first = np.maximum.accumulate(np.where(fresh, place, 0))
    weak, strong = [], []
    for distance in range(1, PARTNERS + 1):
        inside = place - distance >= first
        weak.append(place[inside])
        strong.append(place[inside] - distance)
    far = place - first > PARTNERS
    weak.append(place[far])
    strong.append(first[far])
    return order[np.concatenate(weak)], order[np.concatenate(strong)]


def _column_shingles(
    column: pa.ChunkedArray, shingle_words: int, salt: int
) -> tuple[Hashes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Give the shingles of one text column and where each row's start."""
    texts = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    split = pc.utf8_split_whitespace(pc.utf8_lower(pc.utf8_trim_whitespace(texts)))
    words = split.flatten().dictionary_encode()
    known = np.array(
        [xxhash.xxh3_64_intdigest(word.encode(), salt) for word in words.dictionary.to_pylist()],
        np.uint64,
    )
    hashes = known[words.indices.to_numpy()] if len(known) else np.zeros(0, np.uint64)
    offsets = split.offsets.to_numpy().astype(np.int64)
    offsets = offsets - offsets[0]
    # A row of n words has n - k + 1 shingles, and one where it has fewer than k words.
    sizes = np.diff(offsets)
    counts = np.maximum(1, sizes - shingle_words + 1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    inside = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    begin = np.repeat(offsets[:-1], counts) + inside
    end = np.repeat(offsets[1:], counts)
    mixed = np.full(len(begin), salt, np.uint64)
    for step in range(shingle_words):
        there = begin + step < end
        mixed[there] = _mix(mixed[there] ^ hashes[begin[there] + step])
    return mixed, starts


def _pieces(starts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[int, int]]:
    """Cut rows into pieces of at most SKETCH_SHINGLES shingles, one row at least."""
    start, num_rows = 0, len(starts) - 1
    while start < num_rows:
        stop = int(np.searchsorted(starts, starts[start] + SKETCH_SHINGLES, side="right")) - 1
        stop = min(num_rows, max(stop, start + 1))
        yield start, stop
        start = stop


@lru_cache
def _permutations(number: int) -> tuple[Hashes, Hashes]:
    generator = np.random.Generator(np.random.PCG64(0x7468_6177))
    factors = generator.integers(0, 2**64, number, np.uint64) | np.uint64(1)
    return factors, generator.integers(0, 2**64, number, np.uint64)


def _mix(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit values (the finaliser of splitmix64)."""
    values = values + MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return values ^ (values >> np.uint64(31))
