"""Recipes over tiny models and data."""

from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tests.tiny import make_csv, make_model_folder


def tiny_recipe(folder: Path, **sections: Any) -> Recipe:
    """Make a tiny model and data below `folder`, and a recipe over them, sections laid over it."""
    model = folder / "model"
    if not model.exists():
        make_model_folder(model)
    if not (folder / "train.csv").exists():
        make_csv(folder / "train.csv", rows=61)
        make_csv(folder / "validation.csv", rows=14, seed=1)
        make_csv(folder / "test.csv", rows=17, seed=2)
    values: dict[str, Any] = {
        "name": "tiny",
        "storage": str(folder / "runs"),
        "model": {"path": str(model)},
        "task": {"kind": "text_classification"},
        "data": {
            "train": str(folder / "train.csv"),
            "validation": str(folder / "validation.csv"),
            "test": str(folder / "test.csv"),
        },
        # Recordings have tests of their own; for runs as small as these they do not pay.
        "freezing": {"prefix_cache": "off"},
        "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.01},
        "batch": {"lanes": 4, "microbatch_size": 3, "max_length": 32},
        "epochs": 2,
        # Event files have tests of their own; drawing their pictures takes longer than these runs.
        "tracking": {"log_every_steps": 1, "tensorboard": False},
    }
    for key, value in sections.items():
        old = values.get(key)
        values[key] = (
            {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return Recipe.model_validate(values)
