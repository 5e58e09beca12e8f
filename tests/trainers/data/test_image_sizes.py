"""Sizes of images: counted with the rows, never kept in shards, told as a median."""

from pathlib import Path

import pyarrow as pa
from PIL import Image

from configs.load import recipe_from
from tests.tiny_images import make_image_model
from trainers.data.image_sizes import ImageSizes, SizeCount, describe_images, median
from trainers.data.preparation import prepare
from trainers.data.report_page import render_report
from trainers.data.store import Images, open_split


def test_a_median_is_a_size_that_is_there() -> None:
    assert median({}) is None
    assert median({7: 1}) == 7
    assert median({10: 2, 300: 2}) == 10  # the lower of the two in the middle
    assert median({10: 2, 300: 3}) == 300


def test_sizes_are_counted_and_leave_the_rows() -> None:
    count = SizeCount()
    table = pa.table({"pixels": [b"a", b"b"], "width": [3, 5], "height": [4, 4], "length": [1, 1]})
    assert count.take(table).column_names == ["pixels", "length"]
    count.take(table.slice(1))
    words = pa.table({"input_ids": [[1]], "length": [1]})
    assert count.take(words) is words
    assert count.sizes() == ImageSizes(widths={3: 1, 5: 2}, heights={4: 3})


def test_parts_are_one_median() -> None:
    parts = [ImageSizes(widths={3: 1}, heights={4: 1}), ImageSizes(widths={3: 1, 9: 3})]
    assert describe_images(parts, (3, 16, 32)) == Images(
        width=9, height=4, fed_width=32, fed_height=16
    )
    assert describe_images([ImageSizes()], (3, 16, 16)) is None


def test_a_prepared_set_tells_the_size_that_images_are_brought_to(tmp_path: Path) -> None:
    for number in range(6):  # two small ones among them
        size = (20, 12) if number < 4 else (8, 8)
        path = tmp_path / "pictures" / f"label-{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 0, 0)).save(path)
    model = make_image_model(tmp_path / "model")
    recipe = {
        "name": "pictures",
        "model": {"path": str(model)},
        "task": {"kind": "image_classification"},
        "data": {"train": str(tmp_path / "pictures")},
        "batch": {"lanes": 2},
    }
    made = prepare(recipe_from(recipe), str(tmp_path))
    images = Images(width=20, height=12, fed_width=16, fed_height=16)
    assert made.manifest.images == images
    note = "images: 20 x 12 (median) brought to 16 x 16 \u00b7 set task.image_size"
    assert note in made.manifest.report.notes
    rows = open_split(made.data_dir, made.manifest, "train").read(pa.array([0]).to_numpy())
    assert not {"width", "height"} & set(rows.column_names)
    page = render_report(made.manifest)
    assert "images of 20 x 12 pixels (median), fed as 16 x 16" in page
    assert "tokens" not in page

    asked = recipe | {"task": {"kind": "image_classification", "image_size": 24}}
    notes = prepare(recipe_from(asked), str(tmp_path)).manifest.report.notes
    assert "images: 20 x 12 (median) brought to 24 x 24 by task.image_size" in notes
