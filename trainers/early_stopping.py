"""Know the best evaluation and when to stop; pure, so that ranks that see the same agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from configs.run_sections import EarlyStopping
from configs.shown_metrics import first_metrics

FALLING = frozenset({"loss", "perplexity", "ece", "hamming_loss", "mse", "rmse", "mae"})
"""Metrics that improve by falling."""


@dataclass(frozen=True)
class Best:
    """What the evaluations have shown; kept in every commit, so patience survives a resume."""

    value: float | None = None
    """Best value of the metric; None before the first evaluation."""
    step: int = 0
    """Optimizer steps done at the best evaluation."""
    stale: int = 0
    """Evaluations in a row without improvement."""

    def is_at(self, step: int) -> bool:
        """Say whether the best evaluation so far is that of a step."""
        return self.value is not None and self.step == step


def compared_metric(
    asked: str | None, known: str | None, metrics: Mapping[str, float], *, exports_last: bool
) -> str | None:
    """Give the metric by which an evaluation is compared with others; None compares none.

    It is the one that the recipe asks for, else the one of the evaluations before (`known`), else
    the first that a person is shown.
    """
    if asked is not None or exports_last:
        return asked
    return known or first_metrics(metrics)[0]


def rule_for(metric: str, asked: EarlyStopping | None) -> EarlyStopping | None:
    """Return the rule by which values of a metric are compared: early stopping's, of its own."""
    return asked if asked is not None and asked.metric == metric else None


def lower_is_better(metric: str, mode: str = "auto") -> bool:
    """Say whether a metric, of all rows or of one source, improves by falling."""
    if mode != "auto":
        return mode == "min"
    return metric.split("/")[0] in FALLING


def update_best(
    best: Best, value: float | None, step: int, metric: str, asked: EarlyStopping | None
) -> Best:
    """Take one more evaluation into account.

    None, of a metric that is undefined, changes nothing. A value that is not finite never becomes
    the best. `asked` gives min_delta and mode; without
    early stopping any improvement counts.
    """
    mode, min_delta = (asked.mode, asked.min_delta) if asked is not None else ("auto", 0.0)
    if value is None:
        return best
    if not math.isfinite(value):
        return replace(best, stale=best.stale + 1)
    if best.value is None:
        return Best(value, step, 0)
    gain = best.value - value if lower_is_better(metric, mode) else value - best.value
    if gain > min_delta:
        return Best(value, step, 0)
    return replace(best, stale=best.stale + 1)


def should_stop(best: Best, asked: EarlyStopping | None) -> bool:
    """Say whether patience is used up."""
    return asked is not None and best.stale >= asked.patience
