"""Evaluations that find one class alone."""

from typing import Any

from cluster.learning import find_one_class
from configs.load import recipe_from
from configs.records import Evaluated
from tests.past_runs import START

RECIPE: dict[str, Any] = {
    "name": "past",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "train.csv", "validation": "10%"},
    "epochs": 2,
}


def evaluated(**classes: tuple[float, int]) -> Evaluated:
    """Classes with their recall and number of rows."""
    return Evaluated(
        time=START,
        step=10,
        epoch=1.0,
        split="validation",
        rows=10,
        metrics={},
        per_class={name: {"recall": r, "support": n} for name, (r, n) in classes.items()},
        best=False,
    )


def settings(*records: Evaluated) -> list[tuple[str, ...]]:
    return [
        change.settings
        for finding in find_one_class(records, recipe_from(RECIPE))
        for change in finding.changes
    ]


def test_one_class_that_is_found_alone_is_told_with_what_may_help() -> None:
    (finding,) = find_one_class([evaluated(a=(1.0, 8), b=(0.0, 2))], recipe_from(RECIPE))
    assert finding.text.startswith("of 2 classes only a is found in the last evaluation")
    assert settings(evaluated(a=(1.0, 8), b=(0.0, 2))) == [
        ("balance.method=oversample",),
        ("epochs=6",),
    ]
    assert settings(evaluated(a=(1.0, 3), b=(0.0, 3), c=(0.0, 4))) == [("epochs=6",)]


def test_nothing_is_said_where_more_is_found_or_there_is_nothing_to_find() -> None:
    poor = evaluated(a=(1.0, 8), b=(0.0, 2))
    assert settings(poor, evaluated(a=(0.9, 8), b=(0.5, 2))) == []
    assert settings(evaluated(a=(1.0, 10), b=(0.0, 0))) == []
    assert settings(evaluated(a=(0.0, 5), b=(0.0, 5))) == []
    assert settings(evaluated()) == []
    assert settings() == []
