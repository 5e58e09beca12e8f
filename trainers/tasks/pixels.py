"""Pixels in shards and as they are fed; how files become pixels stands in images.py."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

PIXELS = "pixels"
WIDTH, HEIGHT = "width", "height"
"""Columns beside the pixels with the size that an image had; no shard keeps them."""


def pixel_column(pixels: np.ndarray) -> pa.Array:
    """Lay pixels (rows, channels, height, width) uint8 into a column of one fixed size a row."""
    size = int(np.prod(pixels.shape[1:]))
    buffer = pa.py_buffer(np.ascontiguousarray(pixels))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(pixels), [None, buffer])


def pixels_of(rows: pa.Table, shape: tuple[int, int, int]) -> np.ndarray:
    """Give the pixels of shard rows, (rows, channels, height, width) uint8, without a copy."""
    column = rows[PIXELS]
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    size, end = joined.type.byte_width, joined.offset + len(joined)
    flat = np.frombuffer(joined.buffers()[1], np.uint8, count=end * size)
    return flat.reshape(end, *shape)[joined.offset :]


def shape_of(numbers: dict[str, int], image_size: int | None) -> tuple[int, int, int]:
    """Give channels, height and width of a row, out of what `normalisation` gave of the model."""
    if image_size is not None:
        return numbers["channels"], image_size, image_size
    return numbers["channels"], numbers["height"], numbers["width"]


def float_bits(value: float) -> int:
    """Give the bits of a float64 as a whole number."""
    return int(np.float64(value).view(np.int64))


def normaliser(numbers: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Give the function that normalises pixels (rows, channels, height, width) to float32.

    It gives the bits of transformers' processor, which scales in float64.
    """
    tables, (scale, means, deviations) = value_tables(numbers), _factors(numbers)
    divisor = np.float32(1 / scale)

    def computed(pixels: np.ndarray) -> np.ndarray:
        values = pixels.astype(np.float32)
        values /= divisor
        values -= means[:, None, None]
        values /= deviations[:, None, None]
        return values

    def looked_up(pixels: np.ndarray) -> np.ndarray:
        return np.stack([tables[c][pixels[:, c]] for c in range(len(tables))], axis=1)

    # Five times as fast, and for the usual 1 / 255 no bit is another.
    every = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, len(tables), 1, 256))
    same = np.array_equal(computed(every), looked_up(every))
    return computed if same else looked_up


def value_tables(numbers: dict[str, int]) -> np.ndarray:
    """Give what each pixel value is fed as: (channels, 256) float32."""
    scale, means, deviations = _factors(numbers)
    scaled = (np.arange(256, dtype=np.float64) * scale).astype(np.float32)
    tables: np.ndarray = (scaled - means[:, None]) / deviations[:, None]
    return tables


def _factors(numbers: dict[str, int]) -> tuple[float, np.ndarray, np.ndarray]:
    """Give scale, and mean and deviation of each channel, float32."""
    means, deviations = (
        [_fraction(numbers[f"{name}.{channel}"]) for channel in range(numbers["channels"])]
        for name in ("mean", "deviation")
    )
    return (
        _fraction(numbers["scale"]),
        np.array(means, np.float32),
        np.array(deviations, np.float32),
    )


def _fraction(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
