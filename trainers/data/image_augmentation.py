"""Change images at random, the same way on every machine; which runs ask for it, others know.

What becomes of an image is a function of (seed, epoch, row id) alone, not of the images that it is
read with: a run that is resumed, or goes on with other workers, sees the same ones.
"""

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional

from configs.augmentation_sections import Augmentation, ImageAugmentation
from trainers.data.augmentation import chosen_rows
from trainers.data.random_order import mixed, order_key
from trainers.data.store import ROW_ID
from trainers.tasks.pixels import PIXELS, pixel_column, pixels_of

IMAGES = 6
FLIP, ROTATE, CROP, LEFT, TOP, BRIGHTNESS, CONTRAST, SATURATION = range(8)
"""What is drawn for an image, a number in [0, 1) each."""
ROWS_AT_ONCE = 64
GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness (ITU-R BT.601)."""

Rows = np.ndarray[tuple[int], np.dtype[np.uint64]]
Draw = Callable[[int], torch.Tensor]


def build_image_change(
    options: Augmentation, seed: int, shape: tuple[int, int, int]
) -> Callable[[pa.Table, int], pa.Table] | None:
    """Give the function that changes the images of shard rows in an epoch; None where none are.

    `shape` is that of a row: channels, height, width.
    """
    if not options.images.changes_rows:
        return None

    def change(rows: pa.Table, epoch: int) -> pa.Table:
        row_ids = rows[ROW_ID].to_numpy()
        chosen = np.flatnonzero(chosen_rows(options, seed, epoch, row_ids))
        pixels = pixels_of(rows, shape).copy()
        for start in range(0, len(chosen), ROWS_AT_ONCE):
            some = chosen[start : start + ROWS_AT_ONCE]
            old = torch.from_numpy(pixels[some])
            pixels[some] = changed_images(old, options.images, seed, epoch, row_ids[some]).numpy()
        return rows.set_column(rows.column_names.index(PIXELS), PIXELS, pixel_column(pixels))

    return change


def changed_images(
    pixels: torch.Tensor, options: ImageAugmentation, seed: int, epoch: int, row_ids: Rows
) -> torch.Tensor:
    """Change images (rows, channels, height, width) uint8, each by what its row id draws."""

    def draw(what: int) -> torch.Tensor:
        drawn = mixed(order_key(seed, IMAGES, epoch, what), row_ids.view(np.int64))
        return torch.from_numpy((drawn >> np.uint64(11)).astype(np.float64) / 2.0**53).float()

    flipped = (draw(FLIP) < options.flip)[:, None, None, None]
    pixels = torch.where(flipped, pixels.flip(-1), pixels)
    if not (options.rotate or options.crop or options.color):
        return pixels
    values = pixels.float()
    if options.rotate or options.crop:
        values = _moved(values, options, draw)
    if options.color:
        values = _coloured(values, options.color, draw)
    return values.round().clamp(0, 255).byte()


def _moved(values: torch.Tensor, options: ImageAugmentation, draw: Draw) -> torch.Tensor:
    """Turn images about the middle of what is kept of them; what comes in repeats the edge."""
    height, width = values.shape[-2:]
    angle = (2 * draw(ROTATE) - 1) * math.radians(options.rotate)
    kept = 1 - options.crop * draw(CROP)
    # In units of half an image: the middle of what is kept lies at most 1 - kept beside the middle.
    across, down = ((2 * draw(what) - 1) * (1 - kept) for what in (LEFT, TOP))
    cosine, sine = kept * angle.cos(), kept * angle.sin()
    rows = [cosine, -sine * height / width, across, sine * width / height, cosine, down]
    matrix = torch.stack(rows, -1).reshape(-1, 2, 3)
    grid = functional.affine_grid(matrix, list(values.shape), align_corners=False)
    return functional.grid_sample(values, grid, padding_mode="border", align_corners=False)


def _coloured(values: torch.Tensor, most: float, draw: Draw) -> torch.Tensor:
    """Change brightness, contrast (about the mean grey) and saturation, one after the other."""

    def factor(what: int) -> torch.Tensor:
        return (1 + (2 * draw(what) - 1) * most)[:, None, None, None]

    values = (values * factor(BRIGHTNESS)).clamp(0, 255)
    mean = _grey(values).mean((-2, -1), keepdim=True)
    values = (mean + (values - mean) * factor(CONTRAST)).clamp(0, 255)
    if values.shape[1] == len(GREY):
        grey = _grey(values)
        values = grey + (values - grey) * factor(SATURATION)
    return values


def _grey(values: torch.Tensor) -> torch.Tensor:
    """Give brightness, (rows, 1, height, width)."""
    if values.shape[1] != len(GREY):
        return values
    return (values * torch.tensor(GREY)[:, None, None]).sum(1, keepdim=True)
