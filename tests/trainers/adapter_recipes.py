"""Recipes over tiny models that ask for adapters; what comes of them is left to the tests."""

from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tests.recipes import tiny_recipe

# A high learning rate and dropout, so that adapters matter and every draw shows.
RATE = 1e-2
LORA = {"rank": 4, "dropout": 0.1}
DORA = {"rank": 4, "dropout": 0.1, "dora": True, "rslora": True}


def adapter_recipe(
    folder: Path,
    name: str,
    stage: int,
    lora: dict[str, Any],
    *,
    sliced_above: int = 1000,
    **sections: Any,
) -> Recipe:
    """Ask for adapters; ZeRO-3 slices what has more elements: by default tiny weights stay whole.

    Those below adapters have 32 x 32 and more; slicing the rest too takes long.
    """
    sliced = {"zero_optimization": {"stage3_param_persistence_threshold": sliced_above}}
    values: dict[str, Any] = {
        "freezing": {"lora": lora},
        "zero": {"stage": stage, "overrides": sliced if stage == 3 else {}},
        "optimizer": {"learning_rate": RATE, "weight_decay": 0.01},
        "max_steps": 3,
    }
    return tiny_recipe(folder, name=name, **{**values, **sections})
