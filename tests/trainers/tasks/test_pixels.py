"""Pixels in shards: slices without a copy, and fed with the bits of transformers' processor."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tests.tiny_images import make_image_processor
from trainers.tasks.images import ImageProcessor, normalisation
from trainers.tasks.pixels import normaliser, pixel_column, pixels_of, shape_of


@pytest.mark.parametrize("changed", [{"rescale_factor": 0.00417}, {"do_normalize": False}])
def test_any_scale_gives_the_bits_of_transformers_processor(changed: dict[str, Any]) -> None:
    source = np.random.default_rng(0).integers(0, 256, (40, 51, 3))
    image, inner = Image.fromarray(source.astype(np.uint8)), make_image_processor("vit")
    for name, value in changed.items():
        setattr(inner, name, value)
    processor = ImageProcessor(inner, 3)
    found = normaliser(normalisation(processor))(processor.pixels(image)[None])
    expected = inner([image], return_tensors="np")["pixel_values"]
    assert np.array_equal(found, expected[0][None])


def test_another_size_is_the_shape_of_rows() -> None:
    numbers = {"channels": 3, "height": 20, "width": 30}
    assert shape_of(numbers, None) == (3, 20, 30)
    assert shape_of(numbers, 16) == (3, 16, 16)


def test_pixels_of_a_slice_are_its_own_without_a_copy() -> None:
    pixels = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)
    rows = pa.table({"pixels": pixel_column(pixels)})
    found = pixels_of(rows.slice(2, 2), (3, 2, 2))
    assert np.array_equal(found, pixels[2:4])
    column = rows["pixels"].chunk(0)
    first = np.frombuffer(column.buffers()[1], np.uint8)
    assert np.shares_memory(found, first)
    joined = pa.concat_tables([rows.slice(4), rows.slice(0, 1)])
    assert np.array_equal(pixels_of(joined, (3, 2, 2)), pixels[[4, 0]])
