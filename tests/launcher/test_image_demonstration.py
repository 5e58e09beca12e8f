"""The demonstration with images: the shipped recipe over rows and a model that are there."""

import json
from pathlib import Path

import configs
from configs.load import load_recipe
from launcher.image_demonstration import write


def test_the_recipe_is_the_shipped_one_over_its_own_rows(tmp_path):
    recipe = load_recipe(write(tmp_path / "runs"))
    shipped = load_recipe(Path(configs.__file__).parent / "recipes" / "digits.yaml")
    assert (recipe.name, recipe.storage) == ("demo-image", str(tmp_path / "runs"))
    assert Path(str(recipe.data.train)).exists()
    config = json.loads((Path(recipe.model.path) / "config.json").read_text())
    assert (config["model_type"], config["num_channels"]) == ("resnet", 1)
    assert recipe.model.from_scratch
    assert recipe.cluster.num_workers == 2
    for section in ("task", "optimizer", "batch", "augmentation", "schedule"):
        assert getattr(recipe, section) == getattr(shipped, section)
