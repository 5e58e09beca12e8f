"""Look at the first images of a recipe on this machine: how large they are, and how large fed.

What a model's processor does is read from its file; preparation asks the processor itself.
"""

import io
import json
import os
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Recipe
from configs.task_sections import ImageClassification

if TYPE_CHECKING:
    from trainers.data.sources import Source

IMAGES_A_SOURCE = 20
MAX_SOURCES = 10
MAX_CONFIG_BYTES = 2**20
TURNED = (5, 6, 7, 8)
"""Orientations of EXIF that lie on the side."""
ORIENTATION = 0x0112

Size = tuple[int, int]
"""Width and height."""


def image_note(recipe: Recipe) -> str | None:
    """Say that the first images of the training rows are brought to another size; None else.

    None also where no image is on this machine, and where only the model tells its size.
    """
    from trainers.data.image_sizes import median
    from trainers.data.store import Images

    if not isinstance(recipe.task, ImageClassification):
        return None
    fed = fed_size(recipe)
    sizes = list(_sizes(_first_images(recipe))) if fed is not None else []
    width = median(Counter(size[0] for size in sizes))
    height = median(Counter(size[1] for size in sizes))
    if fed is None or width is None or height is None:
        return None
    images = Images(width=width, height=height, fed_width=fed[0], fed_height=fed[1])
    return images.note(recipe.task.image_size)


def fed_size(recipe: Recipe) -> Size | None:
    """Return the size that images are brought to; None where only the model itself tells it."""
    from trainers.tasks.images import DEFAULT_SIZE

    assert isinstance(recipe.task, ImageClassification)
    model, asked = recipe.model, recipe.task.image_size
    if asked is not None:
        return asked, asked
    folder = Path(model.path)
    if not model.is_folder or not folder.is_dir() or model.trust_remote_code:
        return None
    if (folder / "preprocessor_config.json").exists():
        return _of_processor(_values(folder / "preprocessor_config.json"))
    return _size(_values(folder / "config.json").get("image_size") or DEFAULT_SIZE)


def _of_processor(values: dict[str, Any]) -> Size | None:
    if values.get("do_resize") is False:
        return None
    cut = values.get("crop_size")
    if cut and values.get("do_center_crop") is not False:
        return _size(cut)
    return _size(values.get("size"))


def _size(value: Any) -> Size | None:
    """Read a size as transformers writes it: a number, two of them, or a mapping."""
    if isinstance(value, dict):
        edge = value.get("shortest_edge")
        value = [value.get("height", edge), value.get("width", edge)]
    elif isinstance(value, int):
        value = [value, value]
    if not isinstance(value, list) or len(value) != 2:
        return None
    height, width = value
    return (width, height) if isinstance(height, int) and isinstance(width, int) else None


def _values(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_images(recipe: Recipe) -> Iterator[str]:
    """Yield the addresses of the first images of the training rows that are on this machine."""
    from cluster.first_look import local_data
    from trainers.data.sources import list_sources

    sources = [each for each in list_sources(local_data(recipe)) if each.split == "train"]
    for source in sources[:MAX_SOURCES]:
        found = _in_folder(source) if source.format == "images" else _in_rows(recipe, source)
        yield from islice(found, IMAGES_A_SOURCE)


def _in_folder(source: "Source") -> Iterator[str]:
    from trainers.data.image_folders import SUFFIXES

    for folder, _, names in os.walk(source.address):
        yield from (f"{folder}/{name}" for name in names if name.lower().endswith(SUFFIXES))


def _in_rows(recipe: Recipe, source: "Source") -> Iterator[str]:
    from trainers.data.first_rows import read_first_rows
    from trainers.tasks import functions_of

    columns = functions_of(recipe.task).columns(recipe.task)
    rows = read_first_rows(source, columns)
    if rows is not None:
        yield from (cell for cell in rows[columns.inputs[0].name].to_pylist() if cell)


def _sizes(addresses: Iterable[str]) -> Iterator[Size]:
    """Yield the sizes of images by their first bytes; of those that are here and are images."""
    from PIL import Image

    from trainers.tasks.images import DAMAGE, DATA

    for address in addresses:
        try:
            is_here = not address.startswith(DATA)
            content = address if is_here else io.BytesIO(b64decode(address.partition(",")[2]))
            with Image.open(content) as image:
                turned = image.getexif().get(ORIENTATION) in TURNED
                yield image.size[::-1] if turned else image.size
        except (*DAMAGE, Image.DecompressionBombError):
            continue
