"""Image files into pixels, as a model's own processor does it; what is learnt is the task's.

transformers' own image processor resizes and crops, on PIL: a row of a shard is what it gives, with
8 bits a channel. Rescaling and normalising wait until the rows are fed.
"""

import base64
import binascii
import copy
import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import NotFoundError, RecipeError, StorageError
from configs.model_sections import Model
from trainers import storage
from trainers.tasks.model_config import load_config, source_of
from trainers.tasks.pixels import float_bits
from trainers.tasks.refusals import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

DATA = "data:"
DEFAULT_SIZE = 224
MODES = {1: "L", 3: "RGB"}
"""Mode of PIL by the channels of a model."""
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error)
"""What PIL raises for bytes that are no image, or less than one."""


@dataclass(frozen=True)
class ImageProcessor:
    """The image processor of a model, fed with cells."""

    inner: Any
    """That of transformers, on PIL."""
    channels: int
    model_max_length: int = 1
    """Images have no tokens: each row counts as one."""
    pad_token_id: int = 0
    mask_token: str | None = None

    def sized(self, image_size: int | None) -> "ImageProcessor":
        """Give one that brings images to this height and width; None keeps the model's own.

        One that keeps the shape of images also cuts the middle out, so that all get one size.
        """
        inner = copy.deepcopy(self.inner)
        if image_size is not None:
            _resize(inner, image_size)
        if len({_shape(inner, self.channels, size) for size in ((64, 96), (96, 64))}) > 1:
            edge = image_size or inner.size.shortest_edge
            if not edge:
                raise RecipeError(
                    "the model's image processor gives each image another size. Set task.image_size"
                )
            inner.do_center_crop = True
            inner.crop_size = type(inner.size)(height=edge, width=edge)
        return ImageProcessor(inner, self.channels)

    def shape(self) -> tuple[int, int, int]:
        """Give channels, height and width of what comes out."""
        channels, height, width = _shape(self.inner, self.channels, (64, 96))
        return channels, height, width

    def pixels(self, image: "Image") -> np.ndarray:
        """Resize and crop one image in the model's mode: (channels, height, width) uint8."""
        found = np.asarray(_processed(self.inner, image))
        if found.dtype != np.uint8 or found.ndim != 3:
            raise RecipeError(
                f"the model's image processor ({type(self.inner).__name__}) does not give pixels "
                "of 8 bits. Choose a model whose processor resizes, crops and normalises"
            )
        return found

    def save_pretrained(self, folder: Path) -> None:
        """Write preprocessor_config.json."""
        self.inner.save_pretrained(folder)


def load_image_processor(model: Model) -> ImageProcessor:
    """Load the model's image processor; a model without one gets the size that its config says.

    Raises RecipeError where there is no model, or one that does not look at 1 or 3 channels.
    """
    from transformers import AutoImageProcessor

    config: Any = load_config(model)
    channels = int(getattr(config, "num_channels", 3))
    if channels not in MODES:
        raise RecipeError(
            f"model.path ({model.path}) looks at {channels} channels. Choose a model for images of "
            "1 or 3 channels"
        )
    try:
        inner: Any = AutoImageProcessor.from_pretrained(
            model.path, backend="pil", **source_of(model)
        )
    except OSError:
        inner = _plain(config, channels)
    except (ValueError, KeyError, TypeError, ImportError) as error:
        raise RecipeError(
            f"model.path ({model.path}) has an image processor that cannot be loaded: "
            f"{(str(error) or type(error).__name__).splitlines()[0].rstrip('.')}. "
            "Save the image processor beside the weights"
        ) from error
    return ImageProcessor(inner, channels)


def read_image(cell: str, channels: int, row: int) -> "Image":
    """Read an image file, or a data: address, upright and in 1 or 3 channels of 8 bits.

    Transparency is left out, as transformers does it. Raises RowError naming the file, with `row`
    as the place, for what cannot be decoded.
    """
    from PIL import Image, ImageOps

    name = "the image" if cell.startswith(DATA) else cell
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PIL thinks of other people's metadata
            with Image.open(_content(cell)) as image:
                upright = ImageOps.exif_transpose(image)
                return _in_channels(_in_8float_bits(upright), channels)
    except (*DAMAGE, Image.DecompressionBombError, NotFoundError, StorageError) as error:
        problem = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise RowError(
            row,
            f"{name} does not decode as an image ({problem}). Replace it or leave the row out",
            "an image does not decode",
        ) from error


def normalisation(processor: ImageProcessor) -> dict[str, int]:
    """Give channels, height, width, and how pixels are normalised, in whole numbers.

    Fractions are given by the bits of their float64: so they come back as they were.
    """
    inner = processor.inner
    channels, height, width = processor.shape()
    scale = float(inner.rescale_factor) if inner.do_rescale else 1.0
    means, deviations = [0.0] * channels, [1.0] * channels
    if inner.do_normalize:
        means, deviations = list(inner.image_mean), list(inner.image_std)
    numbers = {"channels": channels, "height": height, "width": width, "scale": float_bits(scale)}
    for channel in range(channels):
        numbers[f"mean.{channel}"] = float_bits(float(means[channel]))
        numbers[f"deviation.{channel}"] = float_bits(float(deviations[channel]))
    return numbers


def _content(cell: str) -> Any:
    if cell.startswith(DATA):
        _, _, encoded = cell.partition(",")
        try:
            return io.BytesIO(base64.b64decode(encoded, validate=True))
        except binascii.Error as error:
            raise ValueError(f"its bytes are not base64: {error}") from error
    path = storage.local_path(cell)
    return path if path is not None else io.BytesIO(storage.read_bytes(cell))


def _in_8float_bits(image: "Image") -> "Image":
    """Bring 16 bits a pixel to 8; PIL's own conversion would cut all above 255 to white."""
    from PIL import Image

    if image.mode != "I" and not image.mode.startswith("I;16"):
        if image.mode == "F":
            raise ValueError("its pixels are numbers with a fraction; save it with 8 or 16 bits")
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _in_channels(image: "Image", channels: int) -> "Image":
    """Give grey or RGB; palettes with transparency go by way of RGBA."""
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(MODES[channels])


def _plain(config: Any, channels: int) -> Any:
    """Make a processor for a model without one: its config's size, mean and deviation 0.5."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    size = getattr(config, "image_size", None) or DEFAULT_SIZE
    height, width = (size, size) if isinstance(size, int) else size
    half = [0.5] * channels
    return ViTImageProcessorPil(
        size={"height": height, "width": width}, image_mean=half, image_std=half
    )


def _resize(inner: Any, edge: int) -> None:
    """Let a processor of transformers give images of another size, cut as they were before."""
    size = type(inner.size)
    inner.do_resize = True
    if inner.size.shortest_edge:
        before = inner.crop_size.height if inner.do_center_crop else inner.size.shortest_edge
        inner.size = size(shortest_edge=round(inner.size.shortest_edge * edge / before))
    else:
        inner.size = size(height=edge, width=edge)
    if inner.do_center_crop:
        inner.crop_size = size(height=edge, width=edge)


def _processed(inner: Any, image: "Image") -> np.ndarray:
    given = inner([image], do_convert_rgb=False, do_rescale=False, do_normalize=False)
    return np.asarray(given["pixel_values"][0])


def _shape(inner: Any, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
    from PIL import Image

    return _processed(inner, Image.new(MODES[channels], size)).shape
