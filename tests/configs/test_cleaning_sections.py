"""Sections about cleaning and splitting: what does not go together is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from configs.cleaning_sections import Cleaning, SplitRule


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"missing": "fill"}, "Set missing to fill, and one of fill_text"),
        ({"fill_text": "none"}, "Set missing to fill, and one of fill_text"),
        ({"min_characters": 9, "max_characters": 8}, r"max_characters \(8\) is less than"),
        ({"near_duplicates": {"threshold": 1.5}}, "less than or equal to 1"),
    ],
)
def test_cleaning_that_cannot_be(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Cleaning.model_validate(values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"by": "group"}, "Set both or neither"),
        ({"column": "user"}, "Set both or neither"),
        (
            {"by": "group", "column": "user", "time_format": "%d"},
            "time_format is read with by: time alone",
        ),
    ],
)
def test_rules_that_cannot_be(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SplitRule.model_validate(values)


def test_filling_needs_one_value_only() -> None:
    assert Cleaning(missing="fill", fill_label="none").fill_text is None
