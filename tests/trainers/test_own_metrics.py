"""A person's metrics see each row once, in one order, whoever fed it."""

from typing import Any

import numpy as np
import pytest
import torch

from configs.errors import RecipeError
from tests.on_ranks import on_ranks
from trainers import masking
from trainers.own_metrics import OwnMetrics
from trainers.tasks.judging import objects

HERE = "tests.own_example"
LABELS = np.arange(10) % 3
PROBABILITIES = np.eye(3, dtype=np.float32)[np.arange(10) % 2]
SOURCES = np.array([0, 1] * 5, np.int16)
# 1 x 0 + 2 x 1 + 3 x 2 + 4 x 0 + ... over ten labels 0 1 2 0 1 2 0 1 2 0.
WEIGHED = 2 + 6 + 5 + 12 + 8 + 18


def fed(own: OwnMetrics, rows: list[int]) -> None:
    """Hand over rows, and one more that does not count."""
    places = np.array([*rows, rows[0]])
    counted = torch.tensor([True] * len(rows) + [False])
    own.update((PROBABILITIES[places], LABELS[places]), counted, places, SOURCES[places])


def judged(rank: int, world_size: int, divided: list[list[int]]) -> list[Any]:
    """Judge the ten rows as they are divided over ranks; then let a metric go wrong."""
    own = OwnMetrics([f"{HERE}:first_label", f"{HERE}:several"])
    mine = [rows for place, rows in enumerate(divided) if place % world_size == rank]
    for rows in mine:
        fed(own, rows)
    found: list[Any] = [own.compute({0: "a", 1: "b"}, ["loss"])]
    for name in ("nowhere", "accuracy"):
        wrong = OwnMetrics([f"{HERE}:{name}"])
        fed(wrong, mine[0])
        try:
            wrong.compute({}, ["accuracy"])
        except RecipeError as error:
            found.append(str(error))
    return found


def test_ranks_divide_nothing_but_the_work() -> None:
    alone = judged(0, 1, [[3, 1, 2], [9, 8], [0, 4, 7, 6, 5]])
    metrics = alone[0]
    assert metrics["first_label"] == WEIGHED
    assert metrics["rows_seen"] == 10
    assert (metrics["rows_seen/a"], metrics["rows_seen/b"]) == (5, 5)
    assert metrics["hits"] == pytest.approx(0.4)  # rows 0, 1, 6, 7 of 0 1 0 1 0 1 0 1 0 1
    assert alone[1].startswith("task.metric (tests.own_example:nowhere) gave float nan as nowhere")
    assert alone[2].endswith("gave accuracy, which is measured already. Choose another name")
    for found in on_ranks(2, judged, [[8, 1], [9, 4, 0], [7, 6], [2, 3, 5]]):
        assert found[0] == metrics
        assert [said.split(" over ")[0] for said in found[1:]] == [
            said.split(" over ")[0] for said in alone[1:]
        ]


def test_a_rank_may_have_seen_nothing() -> None:
    own = OwnMetrics([f"{HERE}:several"])
    assert own.compute({}, []) == {}
    assert OwnMetrics([]).compute({}, []) == {}


def test_rows_of_which_nothing_was_said_are_left_out() -> None:
    own = OwnMetrics([f"{HERE}:spoken"])
    said, wanted = objects(["ab", None, "c"]), objects(["x", None, "yz"])
    own.update((said, wanted), torch.ones(3).bool(), np.arange(3), np.zeros(3, np.int16))
    assert own.compute({}, []) == {"spoken": 3.0}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wordy", "gave str 'good' as wordy over 2 rows. Return a finite number"),
        ("broken", "raised ZeroDivisionError: no rows. Correct the function"),
    ],
)
def test_what_is_no_number_is_refused(name: str, sentence: str) -> None:
    own = OwnMetrics([f"{HERE}:{name}"])
    fed(own, [0, 1])
    with pytest.raises(RecipeError, match=sentence):
        own.compute({}, [])


def test_names_with_secrets_have_stars_and_two_never_become_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(masking, "_forms", ())
    monkeypatch.setenv("OWN_KEY", "canary-77b0")
    masking.hide(["canary-77b0"])
    own = OwnMetrics([f"{HERE}:one_key"])
    fed(own, [0, 1])
    assert own.compute({}, []) == {"hits_***": 0.5}
    own = OwnMetrics([f"{HERE}:two_keys"])
    fed(own, [0, 1])
    with pytest.raises(RecipeError, match=r"differ in the value of a secret alone: hits_\*\*\*"):
        own.compute({}, [])
