"""Changed images: by seed, epoch and row id alone, exact where that can be derived."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from configs.augmentation_sections import Augmentation, ImageAugmentation
from trainers.data.image_augmentation import build_image_change, changed_images
from trainers.data.store import ROW_ID
from trainers.tasks.pixels import pixel_column, pixels_of

SHAPE = (3, 8, 6)
IDS = np.arange(40, dtype=np.uint64) * np.uint64(2**58 + 12345)
ALL = ImageAugmentation(flip=0.5, rotate=30, crop=0.4, color=0.5)


def _pixels(rows: int = 40) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (rows, *SHAPE), dtype=torch.uint8, generator=source)


def _changed(pixels: torch.Tensor, ids: Any = IDS, epoch: int = 0, **options: Any) -> torch.Tensor:
    return changed_images(pixels, ImageAugmentation(**options), 7, epoch, ids)


def test_an_image_does_not_depend_on_what_is_read_with_it() -> None:
    pixels = _pixels()
    whole = changed_images(pixels, ALL, 7, 1, IDS)
    some = [11, 3, 29]
    part = changed_images(pixels[some], ALL, 7, 1, IDS[some])
    assert torch.equal(part, whole[some])
    alone = changed_images(pixels[[5]], ALL, 7, 1, IDS[[5]])
    assert torch.equal(alone, whole[[5]])
    assert not torch.equal(whole, changed_images(pixels, ALL, 7, 2, IDS))
    assert not torch.equal(whole, changed_images(pixels, ALL, 8, 1, IDS))
    assert whole.dtype == torch.uint8


def test_half_of_the_images_are_mirrored_to_the_bit() -> None:
    pixels = _pixels()
    changed = _changed(pixels, flip=0.5)
    mirrored = [torch.equal(new, old.flip(-1)) for new, old in zip(changed, pixels, strict=True)]
    same = [torch.equal(new, old) for new, old in zip(changed, pixels, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 30
    assert torch.equal(_changed(pixels, flip=1.0), pixels.flip(-1))


def test_turning_keeps_the_middle_and_moves_what_is_beside_it() -> None:
    pixels = torch.zeros(40, 1, 9, 9, dtype=torch.uint8)
    pixels[:, :, 4, :] = 255  # a bar from left to right
    changed = _changed(pixels, rotate=90.0)
    assert (changed[:, 0, 4, 4] > 250).all()
    steep = changed[:, 0, 1, 3:6].amax(-1) > 128  # what is turned by far stands upright
    assert 5 < int(steep.sum()) < 35
    assert torch.equal(_changed(pixels, rotate=1e-6), pixels)


def test_a_crop_shows_a_part_of_the_image() -> None:
    ramp = torch.arange(0, 160, 10, dtype=torch.uint8).expand(40, 1, 16, 16).contiguous()
    changed = _changed(ramp, crop=0.5).float()
    slopes = (changed[:, 0, 8, 12] - changed[:, 0, 8, 4]) / 80  # 1 where nothing is cut away
    assert (slopes > 0.45).all()
    assert (slopes < 1.05).all()
    assert slopes.std() > 0.05
    assert (changed >= 0).all() and (changed <= 150).all()


def test_colours_of_grey_models_have_no_saturation() -> None:
    grey = torch.full((40, 1, 4, 4), 100, dtype=torch.uint8)
    changed = _changed(grey, color=0.5)
    # Contrast about the mean leaves an even image alone: what is left is brightness, 50 to 150.
    assert changed.flatten(1).float().std(1).max() == 0
    assert 50 <= int(changed.min()) < int(changed.max()) <= 150
    dull = _changed(torch.full((40, 3, 4, 4), 100, dtype=torch.uint8), color=0.5)
    assert torch.equal(dull[:, :1], changed)


def test_rows_are_changed_at_their_places_and_others_left_alone() -> None:
    pixels = _pixels().numpy()
    rows = pa.table({"pixels": pixel_column(pixels), "label": np.arange(40), ROW_ID: IDS})
    options = Augmentation(probability=0.5, images=ImageAugmentation(flip=1.0))
    change = build_image_change(options, 7, SHAPE)
    assert change is not None
    after = change(rows, 0)
    assert after.schema == rows.schema
    assert after["label"].to_pylist() == list(range(40))
    found = pixels_of(after, SHAPE)
    flipped = [np.array_equal(new, old[..., ::-1]) for new, old in zip(found, pixels, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(found, pixels, strict=True)]
    assert all(one != other for one, other in zip(flipped, same, strict=True))
    assert 10 < sum(flipped) < 30
    assert np.array_equal(pixels_of(rows, SHAPE), pixels)  # the shard's own are as they were
    assert np.array_equal(pixels_of(change(rows.slice(9, 4), 0), SHAPE), found[9:13])


def test_mixing_alone_changes_no_row() -> None:
    options = Augmentation(images=ImageAugmentation(mixup=0.2))
    assert build_image_change(options, 7, SHAPE) is None
