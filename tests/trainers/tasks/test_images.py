"""Images into pixels: what transformers' own processor gives, whatever the file holds."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import RecipeError
from configs.model_sections import Model
from tests.tiny_images import SIZE, data_address, make_image_model, make_image_processor
from trainers.tasks.images import (
    ImageProcessor,
    load_image_processor,
    normalisation,
    read_image,
)
from trainers.tasks.pixels import normaliser, shape_of, value_tables
from trainers.tasks.refusals import RowError


def noise(height: int, width: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("kind", ["vit", "convnext"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_is_fed_with_the_bits_of_transformers_processor(kind: str, channels: int) -> None:
    inner = make_image_processor(kind, channels)
    processor = ImageProcessor(inner, channels)
    image = noise(40, 51, "RGB" if channels == 3 else "L")
    pixels = processor.pixels(image)
    numbers = normalisation(processor)
    assert pixels.shape == shape_of(numbers, None) == (channels, SIZE, SIZE)
    (expected,) = inner([image], return_tensors="np")["pixel_values"]
    assert np.array_equal(normaliser(numbers)(pixels[None])[0], expected)


@pytest.mark.parametrize(
    "image",
    [
        noise(4, 6),
        noise(4, 6, "L"),
        noise(4, 6, "RGBA"),
        noise(4, 6, "LA"),
        noise(4, 6, "P"),
        noise(4, 6, "1"),
        noise(4, 6, "L").convert("I;16"),
    ],
    ids=lambda image: image.mode,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_png_becomes_grey_or_colour(image: Image.Image, channels: int) -> None:
    found = read_image(data_address(image), channels, 0)
    assert (found.size, found.mode) == ((6, 4), {1: "L", 3: "RGB"}[channels])


def test_cmyk_is_turned_to_colours() -> None:
    found = read_image(data_address(Image.new("CMYK", (6, 4), (0, 255, 255, 0)), "TIFF"), 3, 0)
    assert found.getpixel((0, 0)) == (255, 0, 0)


def test_transparency_is_left_out_as_transformers_does_it() -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert read_image(data_address(clear), 3, 0).getpixel((0, 0)) == (10, 20, 30)
    palette = clear.convert("RGB").convert("P")
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=b"\x00" * 3)
    cell = "data:;base64," + base64.b64encode(stream.getvalue()).decode()
    assert read_image(cell, 3, 0).mode == "RGB"


def test_sixteen_bits_are_brought_to_eight() -> None:
    values = np.array([[0, 257, 128 * 257, 65_535]], np.uint16)
    found = read_image(data_address(Image.fromarray(values)), 1, 0)
    assert np.asarray(found).tolist() == [[0, 1, 128, 255]]


def test_images_that_a_camera_turned_stand_upright() -> None:
    image = Image.new("RGB", (6, 4))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    cell = "data:;base64," + base64.b64encode(stream.getvalue()).decode()
    found = read_image(cell, 3, 0)
    assert found.size == (4, 6) and found.getpixel((3, 0)) == (255, 255, 255)


def test_what_does_not_decode_is_named(tmp_path: Path) -> None:
    whole = base64.b64decode(data_address(noise(40, 40)).partition(",")[2])
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole[: len(whole) // 2])
    for cell, said in [
        (str(cut), f"{cut} does not decode as an image"),
        (str(tmp_path / "none.png"), "none.png does not decode as an image"),
        ("data:;base64,aGVsbG8=", "the image does not decode as an image"),
        ("data:;base64,***", "its bytes are not base64"),
        (data_address(noise(2, 2, "F"), "TIFF"), "numbers with a fraction"),
    ]:
        with pytest.raises(RowError) as refused:
            read_image(cell, 3, 7)
        assert refused.value.index == 7
        assert said in refused.value.sentence
        assert refused.value.sentence.endswith("Replace it or leave the row out")


def test_a_model_without_processor_gets_the_size_of_its_config(tmp_path: Path) -> None:
    make_image_model(tmp_path, "vit", channels=1)
    (tmp_path / "preprocessor_config.json").unlink()
    processor = load_image_processor(Model(path=str(tmp_path)))
    assert processor.shape() == (1, SIZE, SIZE)
    table = value_tables(normalisation(processor))
    assert table[0, [0, 255]].tolist() == [-1.0, 1.0]
    out = tmp_path / "out"
    processor.save_pretrained(out)
    again = load_image_processor(Model(path=str(make_image_model(out, "vit", channels=1))))
    assert again.shape() == (1, SIZE, SIZE)


def test_another_size_is_cut_as_the_models_own(tmp_path: Path) -> None:
    for kind in ("vit", "convnext"):
        sized = ImageProcessor(make_image_processor(kind), 3).sized(24)
        assert sized.shape() == sized.pixels(noise(31, 77)).shape == (3, 24, 24)
    ImageProcessor(make_image_processor("vit"), 3).sized(24).save_pretrained(tmp_path)
    from transformers import AutoImageProcessor

    saved = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert (saved.size.height, saved.size.width) == (24, 24)


def test_a_processor_that_keeps_shapes_also_cuts_the_middle_out() -> None:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    inner = ViTImageProcessorPil(size={"shortest_edge": 20})
    sized = ImageProcessor(inner, 3).sized(None)
    assert sized.shape() == sized.pixels(noise(31, 77)).shape == (3, 20, 20)
    inner = ViTImageProcessorPil(do_resize=False)
    with pytest.raises(RecipeError, match=r"Set task\.image_size"):
        ImageProcessor(inner, 3).sized(None)


def test_models_of_other_channels_are_refused(tmp_path: Path) -> None:
    make_image_model(tmp_path, "vit", channels=3)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"num_channels": 3', '"num_channels": 4'))
    with pytest.raises(RecipeError, match="looks at 4 channels"):
        load_image_processor(Model(path=str(tmp_path)))


def test_a_processor_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    make_image_model(tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "NoSuchOne"}')
    with pytest.raises(RecipeError, match=r"has an image processor that cannot be loaded: .*\."):
        load_image_processor(Model(path=str(tmp_path)))

    def fractions(images: list[Image.Image], **asked: bool) -> dict[str, list[np.ndarray]]:
        return {"pixel_values": [np.zeros((3, 4, 4), np.float32) for _ in images]}

    with pytest.raises(RecipeError, match=r"\(function\) does not give pixels of 8 bits\. Choose"):
        ImageProcessor(fractions, 3).pixels(noise(4, 4))
