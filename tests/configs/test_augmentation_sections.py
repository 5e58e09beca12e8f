"""The augmentation section: off by default, rates are shares."""

import pytest
from pydantic import ValidationError

from configs.augmentation_sections import Augmentation, ImageAugmentation


def test_nothing_is_changed_unless_a_rate_is_given() -> None:
    assert not Augmentation().is_on
    assert not Augmentation(probability=0, mask=0.1).is_on
    on = Augmentation(mask=0.1, typos=0.2)
    assert on.is_on
    assert on.operations == ("mask", "typos")


def test_rates_are_shares() -> None:
    with pytest.raises(ValidationError):
        Augmentation(mask=1.5)


def test_images_and_texts_are_changed_by_keys_of_their_own() -> None:
    texts, images = Augmentation(mask=0.1), Augmentation(images=ImageAugmentation(flip=0.5))
    assert (texts.changes_texts, texts.changes_images) == (True, False)
    assert (images.changes_texts, images.changes_images, images.is_on) == (False, True, True)
    assert ImageAugmentation(mixup=0.2, cutmix=1.0).mixes == ("mixup", "cutmix")
    assert not ImageAugmentation(mixup=0.2).changes_rows
    assert texts.disagreements("text_classification") == []
    assert images.disagreements("image_classification") == []
    (said,) = texts.disagreements("image_classification")
    assert said.startswith("augmentation.mask changes texts, but image_classification has images")
    (said,) = images.disagreements("text_classification")
    assert said.startswith("augmentation.images changes images, but text_classification has none")
