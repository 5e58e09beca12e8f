"""A recipe in a run's directory: read as it was written, or refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.recipe_file import read_recipe, write_recipe
from configs.errors import NotFoundError, StorageError
from configs.load import recipe_to_yaml
from configs.schema import Recipe

RECIPE = Recipe.model_validate(
    {
        "name": "one",
        "storage": "/data/runs",
        "model": {"path": "some/model"},
        "task": {"kind": "text_classification"},
        "data": {"train": "/data/train.csv"},
    }
)


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    write_recipe(str(path), RECIPE)
    assert read_recipe(str(path)) == RECIPE
    path.write_text(recipe_to_yaml(RECIPE))  # as runs of old have it
    assert read_recipe(str(path)) == RECIPE
    path.unlink()
    with pytest.raises(NotFoundError):
        read_recipe(str(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"name: one", b"nabe: one"),
        lambda data: data.replace(b"model:", b"model:: [", 1),
        lambda data: data.replace(b"epochs: 3", b"epochs: 4"),
        lambda data: data.replace(b"some/model", b"some\xff\xfemodel"),
    ],
    ids=["half", "empty", "other key", "no YAML", "another value", "no text"],
)
def test_damaged_recipe_says_so(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    write_recipe(str(path), RECIPE)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StorageError, match=r"recipe\.yaml is not what was written there"):
        read_recipe(str(path))
