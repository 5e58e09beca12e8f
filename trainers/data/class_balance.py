"""Which rows an epoch holds where classes are over- or undersampled; their order is lanes.py's.

Each lane draws from its own rows, so a rank reads no others. How often a row comes up is its
class's rate, rounded down or up; how many a lane draws is fixed, so steps are known beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from configs.balance_sections import Balance
from configs.errors import RecipeError
from trainers.data.random_order import mixed, order_key

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
DRAW = 3


@dataclass(frozen=True)
class ClassRates:
    """How often rows of each class come up in an epoch, over all lanes."""

    rates: tuple[float, ...]
    """By class number; 0 for a class without rows."""
    num_rows: int
    """Rows of an epoch, a multiple of the lanes where rows are drawn."""

    def draw(self, labels: Integers, num_drawn: int, seed: int, epoch: int, lane: int) -> Integers:
        """Draw a lane's rows of one epoch; gives places in `labels`, first copies first.

        `labels` are the class numbers of the lane's rows.
        """
        rates = _fitted(np.array(self.rates), labels, num_drawn)
        key = order_key(seed, DRAW, epoch, lane)
        places = np.arange(len(labels), dtype=np.int64)
        by_class = np.lexsort((mixed(key, places), labels))
        # Systematic sampling: one offset, then every row whose stretch holds a whole number.
        offset = float(mixed(key, np.array([len(labels)]))[0] >> np.uint64(11)) / 2.0**53
        ends = np.cumsum(rates[labels[by_class]])
        ends *= num_drawn / ends[-1]
        ends[-1] = num_drawn
        copies = np.empty(len(labels), np.int64)
        copies[by_class] = np.diff(np.floor(ends + offset), prepend=0.0).astype(np.int64)
        return np.concatenate([places[copies > copy] for copy in range(int(copies.max()))])


def class_weights(
    balance: Balance, label_names: Sequence[str], class_counts: Sequence[int]
) -> Floats:
    """Give what a row of each class weighs so that classes weigh what is asked; rows' mean is 1.

    Effective numbers are those of Cui et al. 2019 (https://arxiv.org/abs/1901.05555). Raises
    RecipeError for a target that does not name the labels.
    """
    counts = np.array(class_counts, np.float64)
    if isinstance(balance.target, dict):
        shares = _shares(balance.target, label_names)
    elif balance.target == "effective_number":
        effective = -np.expm1(counts * np.log(balance.beta)) / (1 - balance.beta)
        shares = np.divide(counts, effective, out=np.zeros_like(counts), where=counts > 0)
    else:
        shares = np.ones_like(counts)
    weights = np.divide(shares, counts, out=np.zeros_like(counts), where=counts > 0)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


def plan_rates(
    balance: Balance, label_names: Sequence[str], class_counts: Sequence[int], lanes: int
) -> ClassRates | None:
    """Choose how often rows of each class come up; None where each row comes up once.

    Oversampling shows every row at least once, undersampling no row more than once.
    """
    if not balance.draws_rows:
        return None
    counts = np.array(class_counts, np.int64)
    weights = class_weights(balance, label_names, class_counts)
    over = balance.method == "oversample"
    there = counts > 0
    rates = weights / (weights[there].min() if over else weights[there].max())
    wanted = float((rates * counts).sum())
    lane_rows = -(-counts.sum() // lanes) if over else 1
    per_lane = max(int(lane_rows), int(np.ceil(wanted / lanes) if over else wanted // lanes))
    return ClassRates(tuple(rates.tolist()), per_lane * lanes)


def _fitted(rates: Floats, labels: Integers, num_drawn: int) -> Floats:
    """Scale rates so that a lane with these labels draws so many rows, within the rates' bounds."""
    counts = np.bincount(labels, minlength=len(rates)).astype(np.float64)
    there = counts > 0
    fitted = np.where(there, rates, 0.0)
    if rates.max() > 1:
        extra = fitted - there
        missing = num_drawn - counts.sum()
        total = (extra * counts).sum()
        even = missing / counts.sum()
        return np.asarray(there + (extra * missing / total if total > 0 else even * there))
    full = np.zeros(len(rates), bool)
    while True:
        left = num_drawn - counts[full].sum()
        rest = (fitted * counts)[~full].sum()
        scaled = np.where(full, there, fitted * (left / rest if rest > 0 else 0.0))
        over = (scaled > 1) & ~full
        if not over.any():
            return np.asarray(scaled, np.float64)
        full |= over


def _shares(target: Mapping[str, float], label_names: Sequence[str]) -> Floats:
    if set(target) != set(label_names):
        differing = sorted(set(target) ^ set(label_names))
        raise RecipeError(
            f"balance.target names {len(target)} labels, the data has {len(label_names)}; "
            f"{differing[0]!r} is on one side only. Give each label of the data a share"
        )
    return np.array([target[name] for name in label_names], np.float64)
