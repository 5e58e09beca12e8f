"""Deal training rows to the splits that take a share of them; no row is read or written here.

All rows with the same inputs are next to each other, so every rule first deals inputs, or makes the
caller drop rows whose inputs were dealt to two sides.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from configs.cleaning_sections import SplitRule
from configs.errors import DataError
from configs.outside_text import shortened
from trainers.data.row_ids import Hashes, draws
from trainers.data.store import SplitName

TRAIN, VALIDATION, TEST = range(3)
NUMBERS: dict[SplitName, int] = {"train": TRAIN, "validation": VALIDATION, "test": TEST}

Sides = np.ndarray[tuple[int], np.dtype[np.int8]]
Times = np.ndarray[tuple[int], np.dtype[np.int64]]
Shares = Mapping[SplitName, float]


def deal_by_hash(hashes: Hashes, shares: Shares) -> Sides:
    """Deal by a number drawn from each hash, of the inputs or of the group."""
    drawn, start = draws(hashes), 0.0
    sides = np.zeros(len(hashes), np.int8)
    for split in ("validation", "test"):
        share = shares.get(split, 0.0)
        sides[(drawn >= start) & (drawn < start + share)] = NUMBERS[split]
        start += share
    return sides


def quotas(count: int, shares: Shares) -> dict[SplitName, int]:
    """Give the inputs of one label that validation and test get, each exact to one.

    Training keeps at least one, then test and validation get theirs.
    """
    room, taken = max(0, count - 1), dict[SplitName, int]()
    for split in ("test", "validation"):
        share = shares.get(split, 0.0)
        taken[split] = min(room, int(share * count + 0.5))
        room -= taken[split]
    return taken


def deal_ranks(ranks: Times, count: int, shares: Shares) -> Sides:
    """Deal inputs of one label by their ranks among all `count` inputs of that label.

    Test takes its quota evenly spaced over all ranks, validation over those that are left.
    """
    sides = np.zeros(len(ranks), np.int8)
    quota = quotas(count, shares)
    in_test = _spaced(ranks, quota["test"], count)
    left = ranks - _before(ranks, quota["test"], count)
    in_validation = _spaced(left, quota["validation"], count - quota["test"]) & ~in_test
    sides[in_test] = TEST
    sides[in_validation] = VALIDATION
    return sides


def first_of_inputs(high: Hashes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which rows, sorted by id, are the first of those with the same inputs."""
    return np.concatenate([np.ones(min(1, len(high)), bool), high[1:] != high[:-1]])


def time_cuts(times: Sequence[Times], shares: Shares) -> dict[SplitName, int]:
    """Give the times from which on rows are in test and, before that, in validation.

    `times` are sorted arrays, which may be memory maps: few of their values are read. Rows of the
    same time are on the same side, so a share may come out larger than asked.
    """
    total = sum(len(each) for each in times)
    cuts, latest = dict[SplitName, int](), 0
    for split in ("test", "validation"):
        if split in shares:
            latest += max(1, int(shares[split] * total + 0.5))
            cuts[split] = _value_at(times, max(0, total - latest))
    return cuts


def deal_by_time(times: Times, cuts: Mapping[SplitName, int]) -> Sides:
    """Deal the latest rows to test, those before them to validation."""
    sides = np.zeros(len(times), np.int8)
    for split in ("validation", "test"):
        if split in cuts:
            sides[times >= cuts[split]] = NUMBERS[split]
    return sides


def parse_times(values: Sequence[str | None], rule: SplitRule, name: Callable[[int], str]) -> Times:
    """Read times as microseconds since 1970; those without a zone are taken for UTC.

    Raises DataError for the first that is no time; `name` gives the place of a row.
    """
    times = np.empty(len(values), np.int64)
    for row, value in enumerate(values):
        try:
            times[row] = _microseconds(value or "", rule.time_format)
        except (ValueError, OverflowError) as error:
            found = f"is {shortened(value, 40)!r}, not a time" if value else "is empty"
            form = rule.time_format
            wanted = f"like {form}" if form else "in ISO 8601 or as seconds since 1970"
            raise DataError(
                f"{name(row)}: column {rule.column} {found}. Write times {wanted}, or set "
                "data.split.time_format"
            ) from error
    return times


def _microseconds(text: str, time_format: str | None) -> int:
    if time_format is None:
        try:
            seconds = float(text)
        except ValueError:
            moment = datetime.fromisoformat(text.strip())
        else:
            return round(seconds * 1e6)
    else:
        moment = datetime.strptime(text.strip(), time_format)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6)


def _before(ranks: Times, quota: int, count: int) -> Times:
    """Count the ranks below each that a quota out of `count` takes."""
    return np.asarray(ranks * quota // max(1, count))


def _spaced(ranks: Times, quota: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which ranks a quota out of `count` takes: as many as the quota, evenly spaced."""
    return np.asarray(_before(ranks + 1, quota, count) > _before(ranks, quota, count))


def _value_at(times: Sequence[Times], place: int) -> int:
    """Give the value at a place of all arrays sorted together, by bisection over values."""
    there = [each for each in times if len(each)]
    if not there:
        return 0
    low, high = min(int(each[0]) for each in there), max(int(each[-1]) for each in there)
    while low < high:
        middle = (low + high) // 2
        below = sum(int(np.searchsorted(each, middle, side="right")) for each in there)
        if below > place:
            high = middle
        else:
            low = middle + 1
    return low
