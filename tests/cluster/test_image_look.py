"""Sizes of images as `check` sees them: of files, rows and bytes, and of models' own files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cluster.image_look import fed_size, image_note
from configs.load import recipe_from
from configs.schema import Recipe
from tests.tiny_images import make_image_model, make_image_processor
from trainers.tasks.images import ImageProcessor

NOTE = "images: 20 x 12 (median) brought to 16 x 16 \u00b7 set task.image_size"


def made(model: Path | str, train: Any, **task: Any) -> Recipe:
    task = {"kind": "image_classification"} | task
    values = {"name": "x", "model": {"path": str(model)}, "task": task, "data": {"train": train}}
    return recipe_from(values)


def pictures(folder: Path, size: tuple[int, int] = (20, 12)) -> str:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", size).save(folder / name / f"{number}.png")
    return str(folder)


def test_what_images_are_brought_to_is_noted(tmp_path: Path) -> None:
    model = make_image_model(tmp_path / "model")
    train = pictures(tmp_path / "pictures")
    assert image_note(made(model, train)) == NOTE
    asked = "images: 20 x 12 (median) brought to 24 x 24 by task.image_size"
    assert image_note(made(model, train, image_size=24)) == asked
    assert image_note(made(model, pictures(tmp_path / "same", (16, 16)))) is None


def test_rows_may_name_images_or_carry_them(tmp_path: Path) -> None:
    model = make_image_model(tmp_path / "model")
    folder = Path(pictures(tmp_path / "pictures"))
    rows = ["image,label", "pictures/cat/0.png,cat", "pictures/dog/0.png,dog", "gone.png,dog"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    assert image_note(made(model, str(tmp_path / "rows.csv"))) == NOTE
    content = (folder / "cat" / "0.png").read_bytes()
    image = [{"bytes": content, "path": None}, {"bytes": b"no image", "path": None}]
    pq.write_table(pa.table({"image": image, "label": ["a", "b"]}), tmp_path / "rows.parquet")
    assert image_note(made(model, str(tmp_path / "rows.parquet"))) == NOTE


def test_images_that_lie_on_the_side_are_turned_before_they_are_measured(tmp_path: Path) -> None:
    model = make_image_model(tmp_path / "model")
    folder = tmp_path / "pictures" / "cat"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 20)).save(folder / "a.jpg", exif=exif)
    assert image_note(made(model, str(tmp_path / "pictures"))) == NOTE


def test_nothing_is_said_of_what_is_not_here(tmp_path: Path) -> None:
    train = pictures(tmp_path / "pictures")
    assert image_note(made("org/on-the-hub", train)) is None
    model = make_image_model(tmp_path / "model")
    assert image_note(made(model, "s3://bucket/rows.csv")) is None
    assert image_note(made(model, "/seen/by/the/cluster.csv")) is None


@pytest.mark.parametrize("kind", ["vit", "convnext"])
@pytest.mark.parametrize("cut", [None, {"height": 8, "width": 12}])
def test_a_processors_file_tells_what_the_processor_does(
    tmp_path: Path, kind: str, cut: dict[str, int] | None
) -> None:
    make_image_model(tmp_path, "resnet")
    inner = make_image_processor(kind)
    if cut is not None:
        inner.do_center_crop, inner.crop_size = True, type(inner.size)(**cut)
    inner.save_pretrained(tmp_path)
    _, height, width = ImageProcessor(inner, 3).sized(None).shape()
    assert fed_size(made(tmp_path, "x")) == (width, height)


@pytest.mark.parametrize(
    ("processor", "config", "size"),
    [
        (None, {}, (224, 224)),
        (None, {"image_size": 96}, (96, 96)),
        (None, {"image_size": [64, 32]}, (32, 64)),
        ({"size": 48}, {}, (48, 48)),
        ({"size": {"shortest_edge": 48}, "crop_size": 32}, {}, (32, 32)),
        ({"size": {"longest_edge": 48}}, {}, None),
        ({"size": 48, "do_resize": False}, {}, None),
        ({}, {}, None),
    ],
)
def test_sizes_as_models_write_them(
    tmp_path: Path, processor: Any, config: Any, size: tuple[int, int] | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert fed_size(made(tmp_path, "x")) == size
