"""Prepare a recipe's data: which stages run, one kind after another, here or on many machines.

What a stage does stands in stages.py and its neighbours; how the set comes to exist in
publication.py. Between two stages there is a barrier.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from configs.errors import DataError, RecipeError
from configs.schema import Recipe
from configs.task_sections import asked_labels
from trainers import storage
from trainers.data.cells import class_names
from trainers.data.dealing import Dealt, Measured, deal_bucket, measure_bucket, plan_deals
from trainers.data.encoding import Encode, Encoded, encode_bucket, write_labels
from trainers.data.label_readings import refuse_mixed
from trainers.data.labels import choose_label_names, known_label_names
from trainers.data.mixing import Counted, choose_quotas, count_bucket
from trainers.data.near_stages import (
    Compared,
    compare_bucket,
    lend_bucket,
    pair_bucket,
    sketch_bucket,
)
from trainers.data.plan import Plan, plan_preparation
from trainers.data.proof import Prove, Proven, prove_bucket
from trainers.data.publication import find_prepared, publish
from trainers.data.report import Tally, add_tallies
from trainers.data.scratch import read_rows_of
from trainers.data.stages import Cleaned, Scattered, Tick, clean_bucket, scatter_source
from trainers.data.store import Manifest, SplitName
from trainers.data.unusable import settle
from trainers.data.work_folder import clear, exclusive, goes_on, sweep
from trainers.tasks.functions import TaskFunctions

WEIGHTS = {
    "reading": 30.0,
    "cleaning": 10.0,
    "looking for near-duplicates": 20.0,
    "splitting": 8.0,
    "tokenising": 50.0,
    "proving": 2.0,
}
"""About how long each kind of work takes, against the others."""

Stage = Callable[[Plan, Any], Any]
Progress = Callable[[str, float], None]
"""Takes what is done now, and the share of all work that is done."""


class Runner(Protocol):
    """Carries out a stage for all items and gives the results in their order."""

    def __call__(self, stage: Stage, plan: Plan, items: Sequence[Any], tick: Tick) -> list[Any]:
        """Run the stage; tells the share that is done now and then."""


@dataclass(frozen=True)
class Prepared:
    """A prepared set that is there."""

    data_dir: str
    manifest: Manifest
    cached: bool
    """Whether it was there before."""


def prepare(
    recipe: Recipe,
    storage_root: str,
    tasks: TaskFunctions | None = None,
    progress: Progress | None = None,
    labels: tuple[str, ...] | None = None,
) -> Prepared:
    """Prepare the recipe's data below `<storage_root>/.prepared`, or find it there.

    `tasks` are by default the functions of the recipe's task. With `labels`, those of a run, the
    test rows alone are prepared. Raises DataError for data that cannot be used as asked. Two at
    once make one set; what a preparation that was killed had done is kept.
    """
    plan = plan_preparation(recipe, storage_root, tasks=tasks, labels=labels)
    return prepare_plan(plan, run_here(tasks), progress)


def prepare_plan(plan: Plan, run: Runner, progress: Progress | None = None) -> Prepared:
    """Carry a plan out, or find the set there."""
    manifest = find_prepared(plan)
    cached = manifest is not None
    if manifest is None or storage.exists(plan.work_dir):
        with exclusive(plan):
            manifest = find_prepared(plan)
            cached = manifest is not None
            try:
                manifest = manifest or _Work(plan, run, progress).make()
            except BaseException as error:
                if isinstance(error, DataError | RecipeError) or not goes_on(plan):
                    clear(plan)  # nobody will ask for these data again, or find the folder
                raise
            clear(plan)
            sweep(plan)
    if plan.labels is None:
        check_fits(plan.recipe, manifest)
    return Prepared(plan.data_dir, manifest, cached)


def run_here(tasks: TaskFunctions | None = None) -> Runner:
    """Give the runner that does one item after another in this process."""

    def run(stage: Stage, plan: Plan, items: Sequence[Any], tick: Tick) -> list[Any]:
        made: list[Any] = []
        for place, item in enumerate(items):
            if stage is encode_bucket:
                made.append(encode_bucket(plan, item, tasks))
            elif stage is scatter_source:
                part = partial(_part_of, tick, place, len(items))
                made.append(scatter_source(plan, item, part))
            else:
                made.append(stage(plan, item))
            tick((place + 1) / len(items))
        return made

    return run


def _part_of(tick: Tick, place: int, count: int, share: float) -> None:
    """Tell how much is done when a share of one item is."""
    tick((place + share) / count)


def check_fits(recipe: Recipe, manifest: Manifest) -> None:
    """Raise DataError where lanes would have no row."""
    rows, lanes = manifest.splits["train"].rows, recipe.batch.lanes
    if rows < lanes:
        raise DataError(
            f"batch.lanes ({lanes}) is more than the training rows ({rows}). "
            f"Use at most {rows} lanes or add rows"
        )


class _Work:
    """One preparation while it goes on."""

    def __init__(self, plan: Plan, run: Runner, progress: Progress | None) -> None:
        self._plan, self._run, self._progress = plan, run, progress
        rules = plan.recipe.data
        self._near = rules.cleaning.near_duplicates is not None
        self._measures = rules.split.by in ("stratified", "time")
        left_out = set() if self._near else {"looking for near-duplicates"}
        self._total = sum(weight for name, weight in WEIGHTS.items() if name not in left_out)
        self._done = 0.0

    def make(self) -> Manifest:
        """Run all stages; gives the manifest of the set that is there then."""
        plan, buckets = self._plan, range(self._plan.num_buckets)
        scattered: list[Scattered] = self._all("reading", scatter_source, range(len(plan.sources)))
        if plan.is_mixed:
            counted: list[Counted] = self._all("cleaning", count_bucket, buckets, 2)
            quotas = choose_quotas(plan.sources, counted)
            plan = self._plan = plan.model_copy(update={"quotas": quotas})
        cleaned: list[Cleaned] = self._all("cleaning", clean_bucket, buckets, 1 + plan.is_mixed)
        compared: list[Compared] = []
        for stage in (sketch_bucket, pair_bucket, lend_bucket, compare_bucket):
            if self._near:
                compared = self._all("looking for near-duplicates", stage, buckets, 4)
        measured: list[Measured] = []
        if self._measures:
            measured = self._all("splitting", measure_bucket, buckets, 2)
        deals = plan_deals(plan, measured)
        dealt: list[Dealt] = self._all("splitting", deal_bucket, deals, 1 + self._measures)
        tallies = [part.tally for parts in (scattered, cleaned, compared, dealt) for part in parts]
        tally = add_tallies(tallies)
        names = choose_labels(plan, scattered, dealt, tally)
        write_labels(plan, names)
        encoded: list[Encoded] = self._all("tokenising", encode_bucket, plan_shards(plan, dealt))
        num_rows = sum(part.rows[split] for part in dealt for split in plan.splits)
        refused = [each.unusable for each in encoded]
        unusable = settle(plan.recipe.data.cleaning, refused, num_rows)
        refuse_emptied(plan, encoded, unusable)
        proofs = [Prove(bucket=bucket, splits=encoded[bucket].splits) for bucket in buckets]
        proven: list[Proven] = self._all("proving", prove_bucket, proofs)
        assert sum(each.rows for each in proven) == num_rows - sum(unusable.dropped.values())
        return publish(plan, names, scattered, encoded, add_tallies([tally, unusable]))

    def _all(self, name: str, stage: Stage, items: Sequence[Any], parts: int = 1) -> list[Any]:
        """Run one of the `parts` stages that make up a kind of work, for all items."""
        weight, start = WEIGHTS[name] / parts, self._done

        def tick(share: float) -> None:
            if self._progress is not None:
                self._progress(name, min(1.0, (start + weight * share) / self._total))

        tick(0.0)
        made = self._run(stage, self._plan, items, tick)
        self._done = start + weight
        return made


def plan_shards(plan: Plan, dealt: Sequence[Dealt]) -> list[Encode]:
    """Give each bucket the numbers of its first shards."""
    first: Counter[SplitName] = Counter()
    found = []
    for bucket, part in enumerate(dealt):
        shards = {split: first[split] for split in plan.splits}
        found.append(Encode(bucket=bucket, first_shards=shards))
        for split in plan.splits:
            first[split] += -(-part.rows[split] // plan.shard_rows)
    return found


def refuse_emptied(plan: Plan, encoded: Sequence[Encoded], unusable: Tally) -> None:
    """Raise DataError for a split of which no row can be used."""
    for split in plan.splits:
        if not any(each.splits[split].rows for each in encoded):
            listed = ", ".join(f"{count} {reason}" for reason, count in unusable.dropped.items())
            raise DataError(
                f"data.{split} has no row that can be used (dropped: {listed}). Check the columns "
                "and the files"
            )


def choose_labels(
    plan: Plan, scattered: Sequence[Scattered], dealt: Sequence[Dealt], tally: Tally
) -> tuple[str, ...]:
    """Give the label names in order, none where there are no classes.

    Raises DataError for no rows in a split or unseen labels.
    """
    target = plan.columns.target
    counts: dict[SplitName, Counter[str]] = {split: Counter() for split in plan.splits}
    for part in dealt:
        for split, labels in part.labels.items():
            counts[split].update(labels)
    rows_in: Counter[SplitName] = Counter()
    for source in scattered:
        rows_in[source.split] += source.rows_in
    for split in plan.splits:
        if not sum(part.rows[split] for part in dealt):
            raise DataError(_no_rows_left(plan, split, rows_in, tally))
    if target is None or not target.has_classes:
        return plan.labels or ()

    def find(split: SplitName, label: str) -> str:
        for bucket in range(plan.num_buckets):
            rows = read_rows_of(plan.work_dir, "dealt", f"{bucket}-{split}")
            texts = pc.unique(rows[target.name]).to_pylist()
            those = [text for text in texts if label in class_names(text, target.kind)]
            mask = pc.is_in(rows[target.name], value_set=pa.array(those, pa.string())).to_numpy()
            if mask.any():
                return plan.view.first_place(rows, mask)
        return split

    if plan.labels is not None:
        return known_label_names(plan.labels, counts["test"], partial(find, "test"))
    asked = asked_labels(plan.recipe.task)
    names = choose_label_names(asked, counts, find)
    if asked is None:
        refuse_mixed(names, tally.changed, target.name)
    return names


def _no_rows_left(plan: Plan, split: SplitName, rows_in: Counter[SplitName], tally: Tally) -> str:
    reasons = {"duplicates": tally.duplicates, **tally.dropped}
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    if split in plan.shares and rows_in["train"]:
        share, rule = plan.shares[split], plan.recipe.data.split
        by = f" by {rule.by}" + (f" of {rule.column}" if rule.column else "")
        return (
            f"data.{split} asks for a share of {share:g} of {rows_in['train']} rows{by} and gets "
            f"none (dropped: {listed or 'none'}). Give a larger share, or a file"
        )
    asked = f"data.{split}" if plan.labels is None else plan.sources[0].shown
    return (
        f"{asked} has no rows left of {rows_in[split]} "
        f"(dropped: {listed or 'none'}). Check the columns and the files"
    )
