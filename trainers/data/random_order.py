"""Random orders that are the same on every machine and version; what is ordered stands elsewhere.

Own arithmetic: numpy does not promise the same random streams from one version to the next.
"""

import numpy as np

Keys = np.ndarray[tuple[int], np.dtype[np.uint64]]
Places = np.ndarray[tuple[int], np.dtype[np.int64]]


def order_key(*parts: int) -> np.uint64:
    """Make the key of a random order from whole numbers, such as seed, purpose, epoch and lane."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = _mix(key + np.uint64(part) + np.uint64(1))
    return np.uint64(key[0])


def permutation(key: np.uint64 | None, count: int) -> Places:
    """Give a permutation of `count` things, the identity without a key."""
    places = np.arange(count, dtype=np.int64)
    return places if key is None else np.argsort(mixed(key, places), kind="stable")


def mixed(key: np.uint64, values: Places) -> Keys:
    """Scramble whole numbers under a key; sorting by the result is a random order."""
    return _mix(_mix(values.astype(np.uint64) + np.uint64(1)) + key)


def _mix(values: Keys) -> Keys:
    """Scramble 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
