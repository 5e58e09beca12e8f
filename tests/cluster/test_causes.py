"""What no cause of the table fits is told by the class of its error; the table is whole."""

import pytest

from cluster.causes import CAUSES, KINDS, recognise
from cluster.evidence import Evidence
from cluster.remedies import work_out
from configs.load import change_recipe, recipe_from
from tests.cluster import test_machine_causes, test_work_causes

CASES = [
    ("data", "DataError", "train.csv, row 3 has no label. Give it one", {}),
    ("recipe", "RecipeError", "'f1' is no evaluated metric. Use one of loss, accuracy", {}),
    ("absent", "NotFoundError", "/data/train.csv does not exist. Check the address", {}),
    ("waited", "HangError", "rank 0 has not prepared the data after 1800 s. See its log", {}),
    ("code", "TrainingError", "KeyError: 'logits'", {"words": "KeyError: 'logits'"}),
    ("cluster", "ClusterError", "Ray reports GetTimeoutError: Get timed out", {}),
]


@pytest.mark.parametrize(("name", "error", "message", "parts"), CASES)
def test_kind_of_a_fault_is_told_where_no_cause_is(
    name: str, error: str | None, message: str, parts: dict[str, str]
) -> None:
    found = recognise(Evidence(error=error, message=message, **parts))
    assert [cause.name for cause in found] == [name]


def test_every_cause_has_a_case_and_says_what_to_do() -> None:
    names = [cause.name for cause in (*CAUSES, *KINDS)]
    cases = [*test_machine_causes.CASES, *test_work_causes.CASES, *CASES]
    assert sorted(names) == sorted({str(case[0]) for case in cases})
    for cause in (*CAUSES, *KINDS):
        assert cause.title and cause.meaning.endswith(".") and cause.do, cause.name


def test_what_is_known_of_nothing_is_no_cause() -> None:
    assert recognise(Evidence()) == []


def test_remedies_make_recipes_that_can_be() -> None:
    recipe = recipe_from(
        {
            "name": "a",
            "model": {"path": "org/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "a.csv"},
            "cluster": {"num_workers": 4},
        }
    )
    for cause in (*CAUSES, *KINDS):
        for change in work_out(cause.remedies, recipe):
            assert change_recipe(recipe, change.settings) != recipe, cause.name
