"""Run a person's own recipe on a few rows three ways that must agree; the command is recipes.py's.

On all workers, on one, and on all with a worker that dies.
"""

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from configs.errors import ClusterError, NotFoundError, RecipeError, TrainingError
from configs.load import recipe_from
from configs.records import Attempt, Ended, Evaluated, Ledger, Proof, Record, Step
from configs.schema import Recipe
from configs.source_sections import source_entries

if TYPE_CHECKING:
    from launcher.client import Thaw
    from launcher.messages import Line
    from launcher.terminal import Terminal

COMMIT_EVERY = 2
DIGITS = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0}
"""Digits to which losses on other numbers of workers must agree: sums are rounded in another order.
Whole runs of the recipes that come with Thaw agree to 5 or more in fp32."""
MOST_DIGITS = 16.0


@dataclass(frozen=True)
class Trial:
    """One of the three ways."""

    name: str
    num_workers: int
    records: tuple[Record, ...]

    def losses(self) -> dict[int, float]:
        """Give the loss of each step; of one that was taken twice, the later."""
        return {record.step: record.loss for record in self.records if isinstance(record, Step)}

    def metrics(self) -> dict[str, float | None]:
        """Give the metrics of the last evaluation; none without a validation split."""
        found = [record.metrics for record in self.records if isinstance(record, Evaluated)]
        return found[-1] if found else {}


@dataclass(frozen=True)
class Finding:
    """What was compared, and whether it is as it must be."""

    label: str
    text: str
    holds: bool


def small_recipe(recipe: Recipe, rows: int) -> Recipe:
    """Give the recipe with few rows and epochs, a commit every other step, everything logged."""
    values = recipe.model_dump(mode="json", exclude_unset=True)
    sections: dict[str, dict[str, Any]] = {
        "evaluation": {"every_epochs": 1},
        "checkpoint": {"every_steps": COMMIT_EVERY, "every_epochs": None, "every_minutes": None},
        "tracking": {"log_every_steps": 1, "tensorboard": False},
    }
    data = values["data"] | {"train": _few(recipe.data.train, rows), "test": None}
    if source_entries(recipe.data.validation):
        data["validation"] = _few(recipe.data.validation, -(-rows // 4))
    values |= {"data": data, "max_steps": None, "early_stopping": None, **sections}
    values["name"] = f"{recipe.name[:40].rstrip('._-')}-verify"
    # A schedule of several phases takes as many epochs as it needs.
    for epochs in range(1, recipe.epochs + 1):
        try:
            return Recipe.model_validate(values | {"epochs": epochs})
        except ValidationError:
            continue
    return recipe_from(values | {"epochs": recipe.epochs})


def _few(files: Any, rows: int) -> list[dict[str, Any]]:
    entries = source_entries(files)
    each = -(-rows // len(entries))
    return [
        entry.model_dump(mode="json", exclude_unset=True)
        | {"max_rows": min(each, entry.max_rows or each)}
        for entry in entries
    ]


def findings(many: Trial, others: Sequence[Trial], precision: str) -> Iterator[Finding]:
    """Compare trials with the first one, which runs on all workers."""
    steps = len(many.losses())
    for other in others:
        if other.num_workers == many.num_workers:
            yield _after_a_kill(many, other)
            continue
        digits = agreement(many.losses(), other.losses())
        text = (
            f"{_workers(other)} and {_workers(many)}: losses agree to {digits:.1f} digits over "
            f"{steps} steps"
        )
        yield Finding("machines", text, digits >= DIGITS[precision])
    yield from _frozen(many)
    yield _ledger([many, *others])


def agreement(ours: dict[int, float], theirs: dict[int, float]) -> float:
    """Give the digits to which all losses agree: 16 for the same bits, 0 where steps are missing.

    Digits are minus the decimal logarithm of the largest relative difference.
    """
    if ours.keys() != theirs.keys() or not ours:
        return 0.0
    worst = max(
        abs(a - theirs[step]) / max(abs(a), abs(theirs[step]), 1e-30) for step, a in ours.items()
    )
    if math.isnan(worst):
        return 0.0
    return MOST_DIGITS if worst == 0 else max(0.0, min(MOST_DIGITS, -math.log10(worst)))


def _after_a_kill(many: Trial, killed: Trial) -> Finding:
    attempts = [record for record in killed.records if isinstance(record, Attempt)]
    if len(attempts) < 2:
        return Finding("a kill", "no worker died: too few steps, give more with --rows", False)
    reason, step = attempts[1].reason, attempts[1].resumed_from_step
    if step is None:
        return Finding("a kill", f"{reason}, and no commit was there to go on from", False)
    same = killed.losses() == many.losses() and killed.metrics() == many.metrics()
    went_on = f"{reason}, attempt 2 went on from step {step}"
    bits = "same bits in all losses and metrics" if same else "other losses than without it"
    return Finding("a kill", f"{went_on}: {bits}", same)


def _frozen(trial: Trial) -> Iterator[Finding]:
    for proof in (record for record in trial.records if isinstance(record, Proof)):
        frozen = f"{proof.frozen_parameters:,} parameters"
        state = "keep every bit" if proof.frozen_unchanged else "CHANGED"
        moved = f"{proof.moved_tensors} of {proof.new_tensors} tensors that learn have moved"
        holds = proof.frozen_unchanged and proof.moved_tensors == proof.new_tensors
        yield Finding("frozen", f"{frozen} {state}; {moved}", holds)


def _ledger(trials: Sequence[Trial]) -> Finding:
    ledgers = [[r for r in trial.records if isinstance(r, Ledger)] for trial in trials]
    sums = [{(r.epoch, r.rows, r.id_sum) for r in each} for each in ledgers]
    whole = all(each and all(record.ok for record in each) for each in ledgers)
    same = all(a == b for a, b in pairwise(sums))
    rows = ledgers[0][0].rows if ledgers[0] else 0
    text = f"{len(sums[0])} x {rows:,} rows, " + (
        f"each row once in all {len(trials)} runs" if whole and same else "NOT the same in all runs"
    )
    return Finding("ledger", text, whole and same)


def _workers(trial: Trial) -> str:
    return f"{trial.num_workers} worker{'s' if trial.num_workers > 1 else ''}"


def run_trials(client: "Thaw", recipe: Recipe, alone: int, begun: list[str]) -> Iterator[Trial]:
    """Run the recipe on all workers, on `alone` of them, and on all with one that dies.

    The name of each run is added to `begun` before it begins.
    Raises ClusterError with a run's own sentence where one does not end well.
    """
    from cluster.verification import DYING

    most, suffix = recipe.cluster.most_workers, uuid.uuid4().hex[:6]
    plans = [("all", most, {}), ("alone", alone, {}), ("killed", most, {"function": DYING})]
    for name, num_workers, arguments in plans:
        if name == "alone" and alone == most:
            continue
        trial = recipe.model_copy(
            update={
                "name": f"{recipe.name}-{name}-{suffix}",
                "cluster": recipe.cluster.model_copy(update={"num_workers": num_workers}),
            }
        )
        address = client.where.address_of(trial)
        begun.append(trial.name)
        job_id = client.backend.jobs.submit(address, "finetune", trial, arguments)
        entries = client.backend.jobs.follow(address, job_id)
        records = tuple(entry for entry in entries if not isinstance(entry, str))
        _check_end(trial.name, records)
        yield Trial(name, num_workers, records)


def _check_end(name: str, records: Iterable[Record]) -> None:
    ended = [record for record in records if isinstance(record, Ended)]
    if not ended:
        raise ClusterError(f"run {name} ended without saying how. See `thaw logs {name}`")
    if ended[-1].state != "succeeded":
        raise ClusterError(f"run {name} {ended[-1].state}: {ended[-1].message}")


def prove(
    client: "Thaw", terminal: "Terminal", asked: Recipe, sizes: tuple[int, int], *, keep: bool
) -> None:
    """Run a recipe's trials and print what they show; raises TrainingError where they disagree.

    `sizes` are the most rows and the workers of the smaller run. The runs are deleted once all
    agree, unless `keep`; else it is said what is left.
    """
    from launcher.messages import Line

    rows, alone = sizes
    if asked.batch.lanes % alone:
        raise RecipeError(
            f"--alone {alone}: {asked.batch.lanes} lanes cannot be divided among {alone} workers. "
            "Use a number that divides batch.lanes"
        )
    small = small_recipe(asked, rows)
    facts = (f"at most {rows:,} rows", f"{small.epochs} epoch{'s' if small.epochs > 1 else ''}")
    terminal.lines([Line("verify", (asked.name, *facts, f"in {small.storage}"))])
    begun: list[str] = []
    agree = False
    try:
        _compare(client, terminal, small, alone, begun)
        agree = True
    finally:
        if agree and not keep:
            terminal.lines(clean_up(small.storage, begun))
        elif begun:
            words = f"thaw delete NAME --storage {small.storage}"
            terminal.say(Line("left", (*begun, f"delete them one by one: {words}"), "warning"))


def _compare(
    client: "Thaw", terminal: "Terminal", small: Recipe, alone: int, begun: list[str]
) -> None:
    from launcher.amounts import plural
    from launcher.messages import Line

    trials = []
    for trial in run_trials(client, small, alone, begun):
        trials.append(trial)
        steps = plural(len(trial.losses()), "step")
        terminal.lines([Line("run", (trial.name, _workers(trial), steps))])
    found = list(findings(trials[0], trials[1:], small.precision))
    terminal.lines([Line(f.label, (f.text,), "plain" if f.holds else "warning") for f in found])
    wrong = [finding for finding in found if not finding.holds]
    if wrong:
        raise TrainingError(f"{wrong[0].label}: {wrong[0].text}. Do not trust this set-up")


def clean_up(storage: str, names: Sequence[str]) -> "list[Line]":
    """Delete the runs of a verification that went well; say so, and what stays."""
    from cluster.deletion import delete_run, find_belongings
    from launcher.amounts import plural, size
    from launcher.messages import Line

    freed, left, unseen = 0, [], []
    for name in names:
        try:
            found = find_belongings(storage, name)
            kept = delete_run(storage, name)
        except NotFoundError:
            unseen.append(name)
            continue
        freed += sum(found.num_bytes.values())
        left += [f"{found.folder}/{path}" for path in kept]
    gone = plural(len(names) - len(unseen), "run")
    lines = [Line("deleted", (gone, size(freed), "their few prepared rows stay"))]
    lines += [Line("stays", tuple(left), "warning")] if left else []
    if unseen:
        where = f"{storage} is not seen from here: {', '.join(unseen)} stay"
        lines.append(Line("stays", (where,), "warning"))
    return lines
