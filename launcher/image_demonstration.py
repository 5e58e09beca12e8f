"""The demonstration with images: which digit is it? A small ResNet learns from scratch."""

import json
from importlib import resources
from pathlib import Path

from launcher.own_files import write_recipe

NAME = "demo-image"
QUESTION = "which digit was written by hand?"
RESNET = {
    "model_type": "resnet",
    "architectures": ["ResNetForImageClassification"],
    "num_channels": 1,
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64],
    "depths": [1, 1, 1],
    "layer_type": "basic",
}
"""All that a model from scratch needs: its config."""


def write(storage: Path) -> Path:
    """Write images, the config of a model and a recipe; give the recipe's path."""
    from launcher.digits import write_digits

    folder = storage / ".demo"
    data = write_digits(folder)
    model = write_resnet(folder / "resnet")
    path = folder / "demo-image.yaml"
    text = resources.files("configs").joinpath("recipes/digits.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("name: digits", f"name: {NAME}\nstorage: {storage}"),
        ("path: runs/.demo/resnet", f"path: {model}"),
        ("train: runs/.demo/digits.parquet", f"train: {data}"),
        ("num_workers: 1", "num_workers: 2"),
    ):
        text = text.replace(old, new)
    return write_recipe(path, text)


def write_resnet(folder: Path) -> Path:
    """Write a folder with the config of a small ResNet for grey images, unless it is there."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(RESNET, indent=2) + "\n", encoding="utf-8")
    return folder
