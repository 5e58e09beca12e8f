"""Mix the images of a microbatch with each other, and say by which share their labels count.

Which images meet, and how, is a function of (seed, epoch, row ids of the microbatch): the same on
any number of ranks. mixup: Zhang et al. 2018 (https://arxiv.org/abs/1710.09412); cutmix: Yun et al.
2019 (https://arxiv.org/abs/1905.04899). The loss of a row is share * loss of its own label + (1 -
share) * loss of the other, so a row counts as one target, whatever the loss.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from configs.augmentation_sections import Augmentation
from trainers.data.random_order import mixed, order_key

MIXING = 7
IMAGES = "pixel_values"

Inputs = dict[str, torch.Tensor]
Rows = np.ndarray[tuple[int], np.dtype[np.uint64]]


@dataclass(frozen=True)
class Mixed:
    """The labels that rows of a microbatch have besides their own."""

    labels: torch.Tensor
    share: float
    """How much of a row's loss is that of its own label."""


Mix = Callable[[Inputs, torch.Tensor, Rows, int], tuple[Inputs, Mixed | None]]
"""Mixes a microbatch, given inputs, labels, row ids and epoch."""


def build_mix(options: Augmentation, seed: int) -> Mix | None:
    """Give the function that mixes the images of a microbatch; None where none are mixed."""
    ways = options.images.mixes
    if not ways or not options.probability:
        return None
    alphas = {"mixup": options.images.mixup, "cutmix": options.images.cutmix}

    def mix(
        inputs: Inputs, labels: torch.Tensor, row_ids: Rows, epoch: int
    ) -> tuple[Inputs, Mixed | None]:
        scrambled = mixed(order_key(seed, MIXING, epoch), row_ids.view(np.int64))
        order = np.argsort(scrambled, kind="stable")
        # Its method `random` gives the same numbers in every version of Python.
        draw = random.Random(f"{seed}:{epoch}:{scrambled[order[0]]}").random
        if len(order) < 2 or draw() >= options.probability:
            return inputs, None
        # In a ring in the order of the scrambled ids: nobody meets itself.
        others = np.empty(len(order), np.int64)
        others[order] = np.roll(order, 1)
        partners = torch.from_numpy(others)
        way = ways[int(draw() * len(ways))]
        share = draw_share(alphas[way], draw)
        values = inputs[IMAGES]
        if way == "mixup":
            values = share * values + (1 - share) * values[partners]
        else:
            values, share = _pasted(values, partners, share, draw)
        return {**inputs, IMAGES: values}, Mixed(labels[partners], share)

    return mix


def draw_share(alpha: float, draw: Callable[[], float]) -> float:
    """Draw from Beta(alpha, alpha) by Johnk's method, with `draw` giving numbers in [0, 1)."""
    while True:
        # In logarithms: for a small alpha both powers are too small for a float.
        first, second = (math.log(1 - draw()) / alpha for _ in range(2))
        most = max(first, second)
        total = most + math.log(math.exp(first - most) + math.exp(second - most))
        if total <= 0:
            return math.exp(first - total)


def _pasted(
    values: torch.Tensor, partners: torch.Tensor, share: float, draw: Callable[[], float]
) -> tuple[torch.Tensor, float]:
    """Paste a part of the partners' images; gives the share that is left of each image too."""
    height, width = values.shape[-2:]
    side = math.sqrt(1 - share)
    tall, wide = round(height * side), round(width * side)
    top, left = int(draw() * (height - tall + 1)), int(draw() * (width - wide + 1))
    pasted = values.clone()
    part = (..., slice(top, top + tall), slice(left, left + wide))
    pasted[part] = values[partners][part]
    return pasted, 1 - tall * wide / (height * width)
