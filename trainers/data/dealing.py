"""Deal the clean rows of a bucket to the splits; what a rule says stands in splits.py."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from configs.errors import DataError
from trainers.data.cells import class_names
from trainers.data.duplicates import COPIES, ID_HIGH, Rows, drop_leaks, ids
from trainers.data.plan import EXTRA, Plan
from trainers.data.report import Tally
from trainers.data.scratch import kept, read_rows_of, write_rows
from trainers.data.splits import (
    NUMBERS,
    Sides,
    deal_by_hash,
    deal_by_time,
    deal_ranks,
    first_of_inputs,
    time_cuts,
)
from trainers.data.store import FROZEN, SPLITS, SplitName


class Measured(BaseModel):
    """What must be known of all buckets before one is dealt."""

    model_config = FROZEN
    strata: dict[str, int] = {}
    """Inputs by label, of the rows to be dealt; for stratified splits alone."""


class Deal(BaseModel):
    """How the rows of one bucket are to be dealt."""

    model_config = FROZEN
    bucket: int
    strata: dict[str, tuple[int, int]] = {}
    """By label: inputs in the buckets before this one, and in all."""
    cuts: dict[SplitName, int] = {}
    """Times from which on rows are in a split."""


class Dealt(BaseModel):
    """The splits of one bucket."""

    model_config = FROZEN
    rows: dict[SplitName, int]
    """Rows of each split, copies included."""
    labels: dict[SplitName, dict[str, int]]
    """How often each label comes in each split; empty where there are no classes."""
    tally: Tally


def measure_bucket(plan: Plan, bucket: int) -> Measured:
    """Count what dealing needs to know, or sort the times; all buckets must be clean."""
    work, files = f"measure-{bucket}", [f"times/{bucket}.arrow"]
    return kept(plan.work_dir, work, Measured, lambda _: files, lambda: _measure(plan, bucket))


def plan_deals(plan: Plan, measured: list[Measured]) -> list[Deal]:
    """Tell each bucket how to deal; `measured` are the results of all, if any were needed."""
    rule = plan.recipe.data.split.by
    buckets = range(plan.num_buckets)
    if rule == "time":
        tables = [read_rows_of(plan.work_dir, "times", str(bucket)) for bucket in buckets]
        cuts = time_cuts([table[EXTRA].to_numpy() for table in tables], plan.shares)
        return [Deal(bucket=bucket, cuts=cuts) for bucket in buckets]
    totals: dict[str, int] = {}
    before = []
    for each in measured:
        before.append({label: totals.get(label, 0) for label in each.strata})
        for label, count in each.strata.items():
            totals[label] = totals.get(label, 0) + count
    _check_strata(plan, totals)
    return [
        Deal(bucket=bucket, strata={label: (n, totals[label]) for label, n in seen.items()})
        for bucket, seen in zip(buckets, before or [{}] * len(buckets), strict=True)
    ]


def _check_strata(plan: Plan, totals: dict[str, int]) -> None:
    """Raise DataError for a label that cannot be on all sides."""
    sides = ["train", *plan.shares]
    few = sorted(label for label, count in totals.items() if count < len(sides))
    if few:
        label = few[0]
        more = f" and {len(few) - 1} more labels" if len(few) > 1 else ""
        raise DataError(
            f"label {label!r} in column {plan.names[-1]} has {totals[label]} different "
            f"rows{more}, fewer than the {len(sides)} splits ({', '.join(sides)}). Add rows, drop "
            "the label (task.labels, data.cleaning.unknown_labels: drop), or set data.split.by to "
            "hash"
        )


def deal_bucket(plan: Plan, deal: Deal) -> Dealt:
    """Split the rows of one bucket; raises nothing of its own."""
    files = [f"dealt/{deal.bucket}-{split}.arrow" for split in plan.splits]
    work = f"deal-{deal.bucket}"
    return kept(plan.work_dir, work, Dealt, lambda _: files, lambda: _deal(plan, deal))


def read_clean(plan: Plan, bucket: int, split: SplitName) -> pa.Table:
    """Read the clean rows of a bucket, without near-duplicates where these were looked for."""
    rows = read_rows_of(plan.work_dir, "clean", f"{bucket}-{split}")
    if plan.recipe.data.cleaning.near_duplicates is None:
        return rows
    dropped = read_rows_of(plan.work_dir, "near", str(bucket))
    gone = dropped.filter(pc.equal(dropped["side"], NUMBERS[split]))[ID_HIGH].to_numpy()
    return rows.filter(pa.array(~np.isin(ids(rows)[0], gone)))


def _measure(plan: Plan, bucket: int) -> Measured:
    train = read_clean(plan, bucket, "train")
    if plan.recipe.data.split.by == "time":
        times = pa.table({EXTRA: np.sort(train[EXTRA].to_numpy())})
        write_rows(plan.work_dir, "times", str(bucket), times)
        return Measured()
    first = train.filter(pa.array(first_of_inputs(ids(train)[0])))
    return Measured(strata=count_labels(plan, first))


def _deal(plan: Plan, deal: Deal) -> Dealt:
    given = {split: read_clean(plan, deal.bucket, split) for split in plan.given}
    shared: Rows = {}
    if "train" in given:
        train = given["train"]
        sides = _sides(plan, deal, train)
        shared = {
            split: train.filter(pa.array(sides == NUMBERS[split]))
            for split in SPLITS
            if split == "train" or split in plan.shares
        }
    left = drop_leaks(shared, plan.view)
    rows = {**given, **left.rows}
    for split in plan.splits:
        write_rows(plan.work_dir, "dealt", f"{deal.bucket}-{split}", rows[split])
    labels = {split: count_labels(plan, rows[split]) for split in plan.splits}
    num_rows = {split: int(rows[split][COPIES].to_numpy().sum()) for split in plan.splits}
    return Dealt(rows=num_rows, labels=labels, tally=left.tally)


def count_labels(plan: Plan, rows: pa.Table) -> dict[str, int]:
    """Count how often each label comes, copies included; nothing where there are no classes."""
    target, found = plan.columns.target, Counter[str]()
    if target is None or not target.has_classes:
        return {}
    counted = rows.select([target.name, COPIES]).group_by(target.name).aggregate([(COPIES, "sum")])
    texts, counts = counted[target.name].to_pylist(), counted[f"{COPIES}_sum"].to_pylist()
    for text, count in zip(texts, counts, strict=True):
        for name in class_names(text, target.kind):
            found[name] += count
    return dict(sorted(found.items()))


def _sides(plan: Plan, deal: Deal, train: pa.Table) -> Sides:
    rule = plan.recipe.data.split.by
    if rule == "group":
        return deal_by_hash(train[EXTRA].to_numpy(), plan.shares)
    if rule == "time":
        return deal_by_time(train[EXTRA].to_numpy(), deal.cuts)
    high = ids(train)[0]
    if rule == "hash":
        return deal_by_hash(high, plan.shares)
    first = first_of_inputs(high)
    assert plan.columns.target is not None, "the plan was checked"
    labels = train[plan.columns.target.name].filter(pa.array(first))
    sides = np.zeros(len(labels), np.int8)
    for label, (before, count) in deal.strata.items():
        there = np.flatnonzero(pc.equal(labels, label).to_numpy())
        ranks = before + np.arange(len(there), dtype=np.int64)
        sides[there] = deal_ranks(ranks, count, plan.shares)
    return np.asarray(sides[np.cumsum(first) - 1])
