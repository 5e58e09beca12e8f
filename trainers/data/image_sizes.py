"""How large images are before they are resized: counted while they are encoded, told as a median.

Widths and heights are counted apart, so that any number of images takes some thousand counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from trainers.data.store import FROZEN, Images
from trainers.tasks.pixels import HEIGHT, WIDTH


class ImageSizes(BaseModel):
    """How many images have each width and each height."""

    model_config = FROZEN
    widths: dict[int, int] = {}
    heights: dict[int, int] = {}


class SizeCount:
    """Count the sizes that encoded rows tell."""

    def __init__(self) -> None:
        """Begin with none."""
        self._widths: Counter[int] = Counter()
        self._heights: Counter[int] = Counter()

    def take(self, encoded: pa.Table) -> pa.Table:
        """Count the sizes of encoded rows; return the rows without them, as shards hold them."""
        if WIDTH not in encoded.column_names:
            return encoded
        for name, counts in ((WIDTH, self._widths), (HEIGHT, self._heights)):
            values, times = np.unique(encoded[name].to_numpy(), return_counts=True)
            counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        return encoded.drop_columns([WIDTH, HEIGHT])

    def sizes(self) -> ImageSizes:
        """Return what was counted."""
        return ImageSizes(
            widths=dict(sorted(self._widths.items())), heights=dict(sorted(self._heights.items()))
        )


def describe_images(parts: Sequence[ImageSizes], shape: tuple[int, int, int]) -> Images | None:
    """Say how large most images were and how large they are fed; None where none was counted."""
    widths: Counter[int] = Counter()
    heights: Counter[int] = Counter()
    for part in parts:
        widths.update(part.widths)
        heights.update(part.heights)
    width, height = median(widths), median(heights)
    if width is None or height is None:
        return None
    return Images(width=width, height=height, fed_width=shape[2], fed_height=shape[1])


def median(counts: Mapping[int, int]) -> int | None:
    """Return the lower median of counted values; None where there are none."""
    total = sum(counts.values())
    passed = 0
    for value, count in sorted(counts.items()):
        passed += count
        if 2 * passed >= total:
            return value
    return None
