"""Folders of images: one row an image, the folder's name as label, damage named."""

import io
from pathlib import Path

import pytest
from PIL import Image

from configs.errors import DataError
from trainers.data.cells import Asked
from trainers.data.image_folders import find_classes, hash_images, read_images


def write_images(root: Path) -> None:
    for place, kind in [("cat/1.png", "PNG"), ("cat/more/2.jpg", "JPEG"), ("dog/1.webp", "WEBP")]:
        content = io.BytesIO()
        Image.new("RGB", (8, 8), (len(place), 0, 0)).save(content, kind)
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content.getvalue())
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()


def rows(root: Path) -> list[tuple[str, ...]]:
    blocks = (b for folder in find_classes(str(root)) for b in read_images(folder, COLUMNS))
    return [tuple(row.values()) for block in blocks for row in block.to_pylist()]


COLUMNS = [Asked("image", "image"), Asked("label", "label")]


def test_rows_are_paths_with_the_name_of_their_folder(tmp_path: Path) -> None:
    write_images(tmp_path)
    assert rows(tmp_path) == [
        (str(tmp_path / "cat/1.png"), "cat"),
        (str(tmp_path / "cat/more/2.jpg"), "cat"),
        (str(tmp_path / "dog/1.webp"), "dog"),
    ]


def test_a_hash_tells_of_what_is_in_the_images(tmp_path: Path) -> None:
    write_images(tmp_path)
    before = hash_images(str(tmp_path / "cat"))
    assert hash_images(str(tmp_path / "cat")) == before
    path = tmp_path / "cat" / "1.png"
    path.write_bytes((tmp_path / "dog" / "1.webp").read_bytes())
    assert hash_images(str(tmp_path / "cat")) != before


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes) -> None:
    write_images(tmp_path)
    (tmp_path / "cat" / "more" / "2.jpg").write_bytes(content)
    with pytest.raises(
        DataError, match=r"column image, .*cat/more/2.jpg \(row 2 of .*cat\): no image can be read"
    ):
        rows(tmp_path)


def test_a_png_with_a_flipped_byte_is_named(tmp_path: Path) -> None:
    write_images(tmp_path)
    path = tmp_path / "cat" / "1.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1.png .*no image can be read there"):
        rows(tmp_path)


def test_there_are_two_columns(tmp_path: Path) -> None:
    write_images(tmp_path)
    with pytest.raises(DataError, match=r"has no column text. It has: image, label"):
        list(read_images(str(tmp_path / "cat"), [Asked("text", "text"), Asked("label", "label")]))
