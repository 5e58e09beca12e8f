"""Balance and loss sections: their short form and their bounds."""

import pytest
from pydantic import ValidationError

from configs.balance_sections import Balance, Loss


def test_a_method_alone_is_the_whole_section() -> None:
    assert Balance.model_validate("oversample") == Balance(method="oversample")
    assert Balance.model_validate("oversample").draws_rows
    assert not Balance.model_validate("focal").draws_rows


@pytest.mark.parametrize(
    "section", [{"method": "magic"}, {"target": {"a": 0}}, {"beta": 1}, {"tau": 0}]
)
def test_what_cannot_be_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Balance.model_validate(section)


def test_smoothing_is_a_share() -> None:
    assert Loss().label_smoothing == 0
    with pytest.raises(ValidationError):
        Loss(label_smoothing=1.0)
