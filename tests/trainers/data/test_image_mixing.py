"""Mixed microbatches: the same wherever they are read, and exact in what they blend."""

import random
from typing import Any

import numpy as np
import pytest
import torch

from configs.augmentation_sections import Augmentation, ImageAugmentation
from trainers.data.image_mixing import Mix, Mixed, build_mix, draw_share

IDS = np.array([9, 2**63 + 4, 77, 5], np.uint64)
LABELS = torch.tensor([0, 1, 2, 3])


def _mix(**ways: float) -> Mix:
    mix = build_mix(Augmentation(probability=1.0, images=ImageAugmentation(**ways)), seed=3)
    assert mix is not None
    return mix


def _even(rows: int = 4) -> dict[str, torch.Tensor]:
    """Images that hold their own number everywhere."""
    return {"pixel_values": torch.arange(float(rows)).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)}


def _mixed(mix: Mix, ids: Any = IDS, epoch: int = 0) -> tuple[torch.Tensor, Mixed]:
    inputs, mixed = mix(_even(len(ids)), LABELS[: len(ids)], ids, epoch)
    assert mixed is not None
    return inputs["pixel_values"], mixed


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_each_row_is_mixed_with_another_by_the_share_of_its_label(way: str) -> None:
    shares = set()
    for epoch in range(20):
        values, mixed = _mixed(_mix(**{way: 1.0}), epoch=epoch)
        assert sorted(mixed.labels.tolist()) == [0, 1, 2, 3]
        assert (mixed.labels != LABELS).all()
        assert 0 <= mixed.share <= 1
        expected = mixed.share * LABELS + (1 - mixed.share) * mixed.labels
        torch.testing.assert_close(values.mean((1, 2, 3)), expected, rtol=1e-5, atol=1e-5)
        if way == "cutmix":
            assert set(values.flatten().tolist()) <= {0.0, 1.0, 2.0, 3.0}
        shares.add(mixed.share)
    assert len(shares) > 4


def test_what_is_mixed_does_not_depend_on_the_order_of_the_rows() -> None:
    mix = _mix(mixup=0.4)
    values, mixed = _mixed(mix)
    order = np.array([2, 0, 3, 1])
    inputs = {"pixel_values": _even()["pixel_values"][order]}
    again, other = mix(inputs, LABELS[order], IDS[order], 0)
    assert other is not None and other.share == mixed.share
    assert torch.equal(again["pixel_values"], values[order])
    assert torch.equal(other.labels, mixed.labels[order])


def test_one_row_alone_and_microbatches_that_are_not_drawn_stay() -> None:
    inputs, mixed = _mix(mixup=1.0)(_even(1), LABELS[:1], IDS[:1], 0)
    assert mixed is None and torch.equal(inputs["pixel_values"], _even(1)["pixel_values"])
    images = ImageAugmentation(mixup=1.0, cutmix=1.0)
    mix = build_mix(Augmentation(probability=0.5, images=images), seed=3)
    assert mix is not None
    drawn = [mix(_even(), LABELS, IDS, epoch)[1] is not None for epoch in range(60)]
    assert 15 < sum(drawn) < 45
    assert build_mix(Augmentation(probability=0.0, images=images), seed=3) is None
    assert build_mix(Augmentation(), seed=3) is None


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0, 4.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    draw = random.Random(0).random
    shares = np.array([draw_share(alpha, draw) for _ in range(2000)])
    # Mean 1/2 and variance 1 / (4 (2 alpha + 1)); of 2000 draws four standard errors.
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * (variance / 2000) ** 0.5
    assert abs(shares.var() / variance - 1) < 0.15
