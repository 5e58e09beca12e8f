"""The augmentation section: off by default, rates are shares."""

import pytest
from pydantic import ValidationError

from configs.augmentation_sections import Augmentation


def test_nothing_is_changed_unless_a_rate_is_given() -> None:
    assert not Augmentation().is_on
    assert not Augmentation(probability=0, mask=0.1).is_on
    on = Augmentation(mask=0.1, typos=0.2)
    assert on.is_on
    assert on.operations == ("mask", "typos")


def test_rates_are_shares() -> None:
    with pytest.raises(ValidationError):
        Augmentation(mask=1.5)
