"""Judge a split by a person's own metrics, over all its rows at once; the task says what was said.

Rank 0 gathers each row once, puts the rows into the order of their ids, and calls the functions: so
they give the same at any number of ranks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from configs.errors import RecipeError
from configs.import_paths import split_import_path
from trainers.agreement import rank_and_size
from trainers.masking import told_apart
from trainers.own_code import call_own, load_own

METRIC = "task.metric"


@dataclass(frozen=True)
class _Rows:
    """What was said of some rows, and what is right."""

    numbers: np.ndarray
    """Place of each row in its split, which is sorted by row id."""
    sources: np.ndarray
    predictions: np.ndarray
    labels: np.ndarray

    def chosen(self, which: np.ndarray) -> "_Rows":
        return _Rows(*(column[which] for column in vars(self).values()))


class OwnMetrics:
    """Predictions and labels of the rows seen so far, on one rank."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Import the functions; raises RecipeError for one that is not there."""
        self._functions = {path: load_own(METRIC, path) for path in paths}
        self._rows: list[_Rows] = []

    def update(
        self,
        compared: tuple[np.ndarray, np.ndarray],
        counted: torch.Tensor,
        numbers: np.ndarray,
        sources: np.ndarray,
    ) -> None:
        """Take in what the task compared, but for rows that do not count or of which nothing is.

        `numbers` are the places of the rows in their split, `sources` those of their sources.
        """
        predictions, labels = compared
        keep = counted.cpu().numpy()
        if predictions.dtype == object:
            keep = keep & np.array([each is not None for each in predictions], bool)
        if keep.any():
            own = _Rows(numbers, sources, predictions, labels)
            self._rows.append(own.chosen(np.flatnonzero(keep)))

    def compute(self, sources: Mapping[int, str], taken: Sequence[str]) -> dict[str, float]:
        """Give each metric over all rows and, as `metric/source`, over those of each source named.

        Collective: every rank calls this. Raises RecipeError on all ranks for what is no metric, or
        has a name that is `taken`.
        """
        if not self._functions:
            return {}
        gathered = _gathered(self._rows)
        answer: list[Any] = [None]
        if gathered is not None:
            try:
                answer = [self._computed(gathered, sources, taken)]
            except RecipeError as error:
                answer = [error]
        if rank_and_size()[1] > 1:
            dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[0], RecipeError):
            raise answer[0]
        found: dict[str, float] = answer[0]
        return found

    def _computed(
        self, parts: list[_Rows], sources: Mapping[int, str], taken: Sequence[str]
    ) -> dict[str, float]:
        if not parts:
            return {}
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        rows = _Rows(*map(np.concatenate, columns))
        rows = rows.chosen(np.argsort(rows.numbers, kind="stable"))
        found = self._judged(rows, taken)
        for place, source in sources.items():
            of_source = np.flatnonzero(rows.sources == place)
            if len(of_source):
                some = self._judged(rows.chosen(of_source), taken)
                found |= {f"{name}/{source}": value for name, value in some.items()}
        return found

    def _judged(self, rows: _Rows, taken: Sequence[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for path, function in self._functions.items():
            given = call_own(METRIC, path, function, rows.predictions, rows.labels)
            checked = _checked(path, given, len(rows.numbers))
            for name, value in _without_secrets(path, checked).items():
                if name in found or name in taken:
                    raise RecipeError(
                        f"{METRIC} ({path}) gave {name}, which is measured already. Choose "
                        "another name"
                    )
                found[name] = value
        return found


def _without_secrets(path: str, found: dict[str, float]) -> dict[str, float]:
    """Return metrics under names with stars for secrets; raises RecipeError where two are one."""
    try:
        written = told_apart([*found])
    except ValueError as error:
        raise RecipeError(
            f"{METRIC} ({path}) gave several metrics whose names differ in the value of a secret "
            f"alone: {error}. Choose names without secrets"
        ) from error
    return {written[name]: value for name, value in found.items()}


def _gathered(mine: list[_Rows]) -> list[_Rows] | None:
    """Give the parts of all ranks on rank 0, None elsewhere. Collective: every rank calls this."""
    rank, world_size = rank_and_size()
    if world_size == 1:
        return mine
    parts: list[Any] | None = [None] * world_size if rank == 0 else None
    dist.gather_object(mine, parts, dst=0)
    return [part for of_rank in parts for part in of_rank] if parts is not None else None


def _checked(path: str, given: Any, num_rows: int) -> dict[str, float]:
    """Give what a metric gave by name; raises RecipeError for what is not finite numbers."""
    _, name = split_import_path(path)
    found = given if isinstance(given, dict) else {name: given}
    for key, value in found.items():
        is_number = isinstance(value, float | int | np.floating | np.integer)
        if not isinstance(key, str) or not is_number or not math.isfinite(value):
            shown = f"{type(value).__name__} {value!r}"[:80]
            raise RecipeError(
                f"{METRIC} ({path}) gave {shown} as {key} over {num_rows} rows. Return a finite "
                "number, or a dict of names to such"
            )
    return {key: float(value) for key, value in found.items()}
