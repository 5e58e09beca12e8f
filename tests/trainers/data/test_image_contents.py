"""Images are known by their bytes: not by where they lie, and not by who carries them."""

import base64
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from configs.errors import DataError
from configs.task_columns import Column
from tests.trainers.data.kinds import columns, of_kinds
from tests.trainers.data.words import make_recipe, write_lines
from trainers.data.image_contents import content_hashes, hash_with_images
from trainers.data.plan import IMAGE_SHARD_ROWS, plan_preparation
from trainers.data.preparation import Prepared, prepare
from trainers.data.sources import Source

IMAGE = columns(Column("image", "image"), target=Column("label", "label"))


def write_images(folder: Path, count: int = 20) -> Path:
    (folder / "images").mkdir(parents=True)
    for n in range(count):
        (folder / "images" / f"{n}.png").write_bytes(b"\x89PNG" + bytes([n]))
    rows = [{"image": f"images/{n}.png", "label": f"label-{n % 2}"} for n in range(count)]
    return write_lines(folder / "train.jsonl", rows)


def prepared(path: Path, store: Path) -> Prepared:
    recipe = make_recipe(path, data={"validation": "25%"})
    return prepare(recipe, str(store), of_kinds(IMAGE))


def test_a_file_and_its_bytes_have_the_same_hash(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"abc")
    carried = "data:image/png;base64," + base64.b64encode(b"abc").decode()
    cells = pa.array([f"{tmp_path}/a.png", carried, "data:;base64,YWJj", "data:;base64,YWJk"])
    first, second, third, other = content_hashes(cells, str).to_pylist()
    assert first == second == third != other


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("/no/such.png", r"^place 0: the image /no/such.png cannot be read: No such file"),
        ("data:;base64,a", r"^place 0: the image's data: address is no base64 \(.*Write it again"),
    ],
)
def test_what_cannot_be_read_is_named(cell: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        content_hashes(pa.array([cell]), lambda row: f"place {row}")


def test_moved_files_make_the_same_shards_and_changed_ones_others(tmp_path: Path) -> None:
    first = prepared(write_images(tmp_path / "a"), tmp_path / "store-a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = prepared(tmp_path / "b" / "train.jsonl", tmp_path / "store-b")
    assert first.manifest.splits == second.manifest.splits
    assert first.manifest.fingerprint == second.manifest.fingerprint
    (tmp_path / "b" / "images" / "3.png").write_bytes(b"other")
    third = prepared(tmp_path / "b" / "train.jsonl", tmp_path / "store-b")
    assert not third.cached
    assert third.manifest.fingerprint != first.manifest.fingerprint


def test_the_same_picture_under_two_names_is_one_row(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a")
    images = tmp_path / "a" / "images"
    (images / "2.png").write_bytes((images / "0.png").read_bytes())
    (images / "3.png").write_bytes((images / "0.png").read_bytes())
    report = prepared(path, tmp_path / "store").manifest.report
    assert (report.duplicates, report.conflicts) == (1, 2)


def test_a_missing_file_is_named_with_its_row(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a")
    (tmp_path / "a" / "images" / "7.png").unlink()
    with pytest.raises(DataError, match=r"train.jsonl row 8: the image .*7.png cannot be read: No"):
        prepared(path, tmp_path / "store")


def test_only_named_files_are_hashed_beside_the_source(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"image": "data:;base64,YWJj", "label": "x"}])
    given = Source(split="train", address=str(path), format="jsonl")
    assert hash_with_images(given, IMAGE).image_hash == ""
    assert hash_with_images(given, columns("label", target=None)).image_hash == ""
    path = write_images(tmp_path / "b", 2)
    given = given.model_copy(update={"address": str(path)})
    assert hash_with_images(given, IMAGE).image_hash != ""


def test_shards_of_images_hold_fewer_rows(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a")
    for asked, expected in [(100, 100), (65_536, IMAGE_SHARD_ROWS)]:
        recipe = make_recipe(path, data={"shard_rows": asked})
        assert plan_preparation(recipe, "s", tasks=of_kinds(IMAGE)).shard_rows == expected
