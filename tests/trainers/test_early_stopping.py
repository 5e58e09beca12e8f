"""Best evaluation and patience."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.run_sections import EarlyStopping
from trainers.early_stopping import (
    Best,
    compared_metric,
    lower_is_better,
    rule_for,
    should_stop,
    update_best,
)


def _follow(values: list[float], asked: EarlyStopping) -> list[Best]:
    history = [Best()]
    for step, value in enumerate(values, start=1):
        history.append(update_best(history[-1], value, step, asked.metric, asked))
    return history[1:]


def test_loss_falls_and_accuracy_rises() -> None:
    assert lower_is_better("loss")
    assert not lower_is_better("macro_f1")
    assert lower_is_better("mse") and lower_is_better("perplexity/news")
    assert lower_is_better("accuracy", "min")
    assert not lower_is_better("loss", "max")


def test_patience_counts_evaluations_in_a_row() -> None:
    asked = EarlyStopping(metric="loss", patience=2)
    history = _follow([1.0, 0.8, 0.9, 0.7, 0.7, 0.75], asked)
    assert [best.stale for best in history] == [0, 0, 1, 0, 1, 2]
    assert [should_stop(best, asked) for best in history] == [False] * 5 + [True]
    assert history[-1] == Best(value=0.7, step=4, stale=2)


def test_min_delta_is_the_smallest_gain_that_counts() -> None:
    asked = EarlyStopping(metric="accuracy", patience=9, min_delta=0.1)
    assert [b.step for b in _follow([0.5, 0.55, 0.59, 0.61, 0.7], asked)] == [1, 1, 1, 4, 4]


def test_what_is_not_finite_is_never_the_best() -> None:
    asked = EarlyStopping(metric="loss", patience=9)
    history = _follow([float("nan"), 2.0, float("nan"), float("-inf")], asked)
    assert [b.value for b in history] == [None, 2.0, 2.0, 2.0]
    assert [b.stale for b in history] == [1, 0, 1, 2]
    rising = asked.model_copy(update={"metric": "accuracy"})
    assert _follow([float("inf"), 0.5], rising)[-1] == Best(value=0.5, step=2, stale=0)


def test_without_early_stopping_any_gain_counts_and_nothing_stops() -> None:
    best = update_best(Best(), 0.5, 1, "accuracy", None)
    better = update_best(best, 0.5001, 2, "accuracy", None)
    assert (best.step, better.step) == (1, 2)
    assert not should_stop(Best(stale=100), None)
    assert better.is_at(2)
    assert not Best().is_at(0)


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@given(values=st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=20))
def test_the_best_is_the_first_extreme(metric: str, values: list[float]) -> None:
    best = _follow(values, EarlyStopping(metric=metric, patience=100))[-1]
    extreme = min(values) if metric == "loss" else max(values)
    assert (best.value, best.step) == (extreme, values.index(extreme) + 1)
    assert best.stale == len(values) - best.step


def test_evaluations_are_compared_by_what_is_asked_else_by_the_first_that_is_shown():
    metrics = {"accuracy": 0.5, "loss": 1.0, "macro_f1": 0.4}
    assert compared_metric("loss", None, metrics, exports_last=False) == "loss"
    assert compared_metric(None, None, metrics, exports_last=False) == "macro_f1"
    # Once chosen it stays: values of two metrics cannot be compared.
    assert compared_metric(None, "accuracy", metrics, exports_last=False) == "accuracy"
    assert compared_metric(None, None, metrics, exports_last=True) is None
    assert compared_metric("loss", None, metrics, exports_last=True) == "loss"


def test_the_rule_of_early_stopping_is_for_its_own_metric_alone():
    asked = EarlyStopping(metric="distance", mode="min", min_delta=0.5)
    assert rule_for("distance", asked) is asked
    assert rule_for("loss", asked) is None
    assert rule_for("loss", None) is None


def test_what_is_undefined_is_neither_better_nor_worse() -> None:
    asked = EarlyStopping(metric="roc_auc", patience=1)
    before = update_best(Best(), 0.5, 1, "roc_auc", asked)
    assert update_best(before, None, 2, "roc_auc", asked) == before
    assert update_best(Best(), None, 1, "roc_auc", asked) == Best()
