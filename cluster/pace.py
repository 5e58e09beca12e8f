"""Find in a run's records where its time went, and what in the recipe would save some of it.

Only what the records measure is told; how it looks is launcher/why.py's.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pydantic import BaseModel, ConfigDict

from cluster.remedies import Change, Remedy, Setting, can_take, work_out
from configs.records import Attempt, Committed, Evaluated, Phase, Record, Recorded, Step
from configs.schema import Recipe
from configs.task_sections import CONTINUES

WAITS, PADS, EVALUATES, COMMITS, RECORDS, LOSES = 0.1, 0.25, 0.2, 0.1, 0.2, 0.1
"""Shares from which on a person should know."""
STARVES = 0.5
"""Cores below which a worker without a GPU lacks time to compute."""
SLOWER = 1.3
FEWEST_STEPS = 6
"""Step records below which nothing is said of their pace."""
GOOD_SHARE = 0.05
MOST_RARER = 100


class Finding(BaseModel):
    """Something that takes time, with its figure."""

    model_config = ConfigDict(frozen=True)
    name: str
    share: float
    """Share of the time of training, or what the name says."""
    text: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """What lies between two step records of one attempt."""

    steps: int
    seconds: float
    between: tuple[Record, ...]

    @property
    def pace(self) -> float:
        """Seconds per step."""
        return self.seconds / max(1, self.steps)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but steps lies in it."""
        return not self.between


def find_slowness(
    records: Sequence[Record], recipe: Recipe, lost: Sequence[int] = ()
) -> list[Finding]:
    """Say where the time went that did not go into steps; nothing where all is well.

    `lost` are the steps that each failed attempt lost.
    """
    steps = [record for record in records if isinstance(record, Step)]
    stretches = [*_stretches(records)]
    total = sum(stretch.seconds for stretch in stretches)
    if len(steps) < FEWEST_STEPS or total <= 0:
        return []
    plain = [stretch.pace for stretch in stretches if stretch.is_plain]
    pace = median(plain) if plain else 0.0
    found = [
        _starving(steps, recipe),
        _waiting(steps, recipe),
        _padding(steps, recipe),
        _evaluating(stretches, pace, total, steps[-1].total_steps, recipe),
        _committing(records, total, steps[-1].total_steps, recipe),
        _recording(records, total, recipe),
        _losing([count for count in lost if count], steps[-1].step, recipe),
        _slowing(plain),
    ]
    return [finding for finding in found if finding is not None]


def _stretches(records: Sequence[Record]) -> Iterator[Stretch]:
    """Cut the records at their steps; what an attempt needs to start is in none of them."""
    before: Step | None = None
    between: list[Record] = []
    for record in records:
        if isinstance(record, Attempt | Phase):
            before = None
        elif isinstance(record, Step):
            if before is not None and record.step > before.step:
                seconds = max(0.0, record.time - before.time)
                yield Stretch(record.step - before.step, seconds, tuple(between))
            before, between = record, []
        elif isinstance(record, Evaluated | Committed | Recorded):
            between.append(record)


def _weighted(steps: Sequence[Step], values: Sequence[float]) -> float:
    """Give the mean over the time that each record stands for."""
    counts = [1, *(max(1, b.step - a.step) for a, b in pairwise(steps))]
    weights = [count * step.seconds for count, step in zip(counts, steps, strict=True)]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / (sum(weights) or 1.0)


def _waiting(steps: Sequence[Step], recipe: Recipe) -> Finding | None:
    share = _weighted(steps, [step.data_wait for step in steps])
    if share < WAITS:
        return None
    more = Remedy("more hands to read and pad rows", (Setting("cluster.cpus_per_worker", times=2),))
    text = f"{_percent(share)} of the time rank 0 waits for data"
    return Finding(name="data", share=share, text=text, changes=work_out([more], recipe))


def _starving(steps: Sequence[Step], recipe: Recipe) -> Finding | None:
    """Tell that rank 0 had little of a core while it waited for no data; GPUs need less of one."""
    known = [step for step in steps if step.cpu_share is not None]
    if recipe.cluster.gpus_per_worker or len(known) < FEWEST_STEPS:
        return None
    shares = [(step.cpu_share or 0.0) / max(0.1, 1 - step.data_wait) for step in known]
    share = _weighted(known, shares)
    if share >= STARVES:
        return None
    other = (
        "other programs run on its node"
        if recipe.cluster.num_workers == 1
        else ("other programs run on the nodes, or it waits for a slower rank")
    )
    text = f"rank 0 got {_percent(share)} of a core: {other} (`uptime` on the node tells)"
    return Finding(name="starved", share=share, text=text)


def _padding(steps: Sequence[Step], recipe: Recipe) -> Finding | None:
    share = _weighted(steps, [step.padding for step in steps])
    if share < PADS:
        return None
    text = f"{_percent(share)} of the tokens that are fed are padding"
    batch = recipe.batch
    tokens = max(batch.max_length, round(batch.microbatch_size * batch.max_length * (1 - share)))
    packed = Remedy("rows lie behind each other without padding", (Setting("batch.packing", True),))
    by_tokens = Remedy(
        "rows of like length share a microbatch",
        (Setting("batch.microbatch_tokens", tokens), *_row_size_as_default(recipe)),
    )
    remedies = [by_tokens] if batch.microbatch_tokens is None else []
    if recipe.task.kind in CONTINUES:
        remedies = [packed]
    return Finding(name="padding", share=share, text=text, changes=work_out(remedies, recipe))


def _row_size_as_default(recipe: Recipe) -> tuple[Setting, ...]:
    default = type(recipe.batch).model_fields["microbatch_size"].default
    if recipe.batch.microbatch_size == default:
        return ()
    return (Setting("batch.microbatch_size", default),)


def _evaluating(
    stretches: Sequence[Stretch], pace: float, total: float, total_steps: int, recipe: Recipe
) -> Finding | None:
    """Add up what stretches with an evaluation took longer than their steps and commits."""
    seconds, count = 0.0, 0
    for stretch in stretches:
        inside = [record for record in stretch.between if isinstance(record, Evaluated)]
        if inside and pace > 0:
            commits = sum(r.stalled_s for r in stretch.between if isinstance(r, Committed))
            seconds += max(0.0, stretch.seconds - stretch.steps * pace - commits)
            count += len(inside)
    share = seconds / total
    if not count or share < EVALUATES:
        return None
    evaluations = "1 evaluation" if count == 1 else f"{count} evaluations"
    text = f"{_percent(share)} of the time goes into {evaluations}"
    key, held, whole = "every_epochs", recipe.evaluation.every_epochs, recipe.epochs
    if recipe.evaluation.every_steps is not None:
        key, held, whole = "every_steps", recipe.evaluation.every_steps, total_steps
    rarer = _rarer(f"evaluation.{key}", held, whole, share, recipe)
    larger = Remedy(
        "evaluation feeds more rows at once", (Setting("batch.eval_microbatch_size", times=2),)
    )
    changes = (*rarer, *work_out([larger], recipe))
    return Finding(name="evaluation", share=share, text=text, changes=changes)


def _committing(
    records: Sequence[Record], total: float, total_steps: int, recipe: Recipe
) -> Finding | None:
    commits = [record for record in records if isinstance(record, Committed)]
    share = sum(record.stalled_s for record in commits) / total
    if share < COMMITS:
        return None
    saved = "1 commit" if len(commits) == 1 else f"{len(commits)} commits"
    text = f"{_percent(share)} of the time training waits for {saved}"
    asked = recipe.checkpoint
    key, held, whole = next(
        (key, value, whole)
        for key, value, whole in (
            ("every_steps", asked.every_steps, total_steps),
            ("every_minutes", asked.every_minutes, math.inf),
            ("every_epochs", asked.every_epochs, recipe.epochs),
        )
        if value is not None or key == "every_epochs"
    )
    changes = _rarer(f"checkpoint.{key}", held, whole, share, recipe)
    return Finding(name="commits", share=share, text=text, changes=changes)


def _rarer(
    key: str, held: float | None, whole: float, share: float, recipe: Recipe
) -> tuple[Change, ...]:
    """Make something so much rarer that it takes GOOD_SHARE of the time; still twice in the whole.

    `held` is the value that the key has, `whole` how long the run is in the same unit, infinite
    where that is not known.
    """
    factor = min(MOST_RARER, share * (1 - GOOD_SHARE) / (GOOD_SHARE * max(1e-9, 1 - share)))
    if held is None:
        return ()
    rare = min(math.ceil(held * factor), whole // 2)
    if rare <= held or not can_take(recipe, [f"{key}={rare:.0f}"]):
        return ()
    left = share * held / (share * held + (1 - share) * rare)
    return (Change(text=f"brings it to about {_percent(left)}", settings=(f"{key}={rare:.0f}",)),)


def _recording(records: Sequence[Record], total: float, recipe: Recipe) -> Finding | None:
    seconds = sum(record.seconds for record in records if isinstance(record, Recorded))
    share = seconds / (total + seconds)
    if share < RECORDS:
        return None
    off = Remedy("computes the frozen blocks anew", (Setting("freezing.prefix_cache", "off"),))
    text = f"{_percent(share)} of the time frozen blocks were recorded, which more epochs pay back"
    return Finding(name="recording", share=share, text=text, changes=work_out([off], recipe))


def _losing(lost: Sequence[int], done: int, recipe: Recipe) -> Finding | None:
    share = sum(lost) / (sum(lost) + done)
    if share < LOSES:
        return None
    text = f"{_percent(share)} of the steps were done twice, after {len(lost)} failed attempts"
    value = f"checkpoint.every_steps={max(1, sum(lost) // len(lost) // 2)}"
    changes: tuple[Change, ...] = ()
    if can_take(recipe, [value]):
        changes = (Change(text="about half as many are lost each time", settings=(value,)),)
    return Finding(name="losses", share=share, text=text, changes=changes)


def _slowing(plain: Sequence[float]) -> Finding | None:
    third = len(plain) // 3
    if third < FEWEST_STEPS // 2:
        return None
    first, last = median(plain[:third]), median(plain[-third:])
    if first <= 0 or last / first < SLOWER:
        return None
    text = f"steps got slower: {first:.3g} s at first, {last:.3g} s at last"
    return Finding(name="slowing", share=last / first, text=text)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
