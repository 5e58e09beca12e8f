"""Import a person's own metrics, losses and models; what they are given stands where they are used.

The modules lie in the folder that was shipped with the job, or are installed on every node.
"""

import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from configs.import_paths import split_import_path
from configs.schema import Recipe
from trainers.tasks.model_config import first_line

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.step import SummedLoss

LOSS = "loss.function"
MODEL = "model.implementation"


def check_own_code(recipe: Recipe) -> None:
    """Import all that a recipe names; raises RecipeError for what is not there or not to be called.

    Nothing else of a run is needed for it.
    """
    for key, paths in recipe.own_code.items():
        for path in paths:
            if key == MODEL:
                own_class(path)
            else:
                load_own(key, path)


def load_own(key: str, path: str) -> Any:
    """Import `module:name`, which the recipe gives under a key; raises RecipeError."""
    module_name, name = split_import_path(path)
    try:
        module = import_module(module_name)
    except Exception as error:
        raise RecipeError(
            f"{key} ({path}): importing {module_name} raised {type(error).__name__}: "
            f"{first_line(error)}. Put the module into cluster.working_dir, or install it on every "
            "node"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        has = sorted(each for each, value in vars(module).items() if _is_own(value, module_name))
        raise RecipeError(
            f"{key} ({path}): {module_name} has no {name} that can be called; it has "
            f"{', '.join(has) or 'none'}. Name one of them"
        )
    return found


def call_own(key: str, path: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a person's function; raises RecipeError for whatever it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        raise RecipeError(
            f"{key} ({path}) raised {type(error).__name__}: {first_line(error)}. Correct the "
            "function"
        ) from error


def own_class(path: str) -> Any:
    """Import the class that `model.implementation` names; raises RecipeError for what is no model.

    It is called as a class of transformers is: from_pretrained(folder, config=..., ...), and
    from_config(config, ...) or transformers' own _from_config for a model from scratch.
    """
    found = load_own(MODEL, path)
    if not isinstance(found, type) or not hasattr(found, "from_pretrained"):
        raise RecipeError(
            f"{MODEL} ({path}) has no from_pretrained. Derive the class from a model of "
            "transformers, such as BertForSequenceClassification"
        )
    return found


def own_loss(path: str) -> "SummedLoss":
    """Give the function that `loss.function` names, with a look at each of its answers."""
    function: Callable[[Any, Tensor], Any] = load_own(LOSS, path)

    def summed_loss(outputs: Any, labels: "Tensor") -> "Tensor":
        import torch

        given = call_own(LOSS, path, function, outputs, labels)
        if not isinstance(given, torch.Tensor) or given.dim() or not given.is_floating_point():
            shape = tuple(given.shape) if isinstance(given, torch.Tensor) else ""
            raise RecipeError(
                f"{LOSS} ({path}) gave {type(given).__name__}{shape or ''}. Return the sum over "
                "the targets, a tensor of one number without dimensions"
            )
        return given

    return summed_loss


def source_of_own(key: str, path: str) -> str:
    """Name code with a hash of its source: of its module, and of those beside it that it imports.

    Raises RecipeError where there is no such module.
    """
    module_name, _ = split_import_path(path)
    load_own(key, path)
    file = sys.modules[module_name].__file__
    assert file is not None, "a module of code has a file"
    root = Path(file).parents[module_name.count(".") + (Path(file).name == "__init__.py")]
    places = {file}
    if "site-packages" not in root.parts:  # there it would go through torch
        finder = ModuleFinder(path=[str(root)])
        finder.import_hook(module_name)
        named = (vars(module)["__file__"] for module in finder.modules.values())
        places |= {place for place in named if place}
    found = hashlib.sha256()
    for place in sorted(map(Path, places)):
        found.update(f"{place.relative_to(root).as_posix()}\0".encode())
        found.update(place.read_bytes())
    return f"{path} {found.hexdigest()[:16]}"


def _is_own(value: object, module_name: str) -> bool:
    """Say whether something of a module can be called and was written there."""
    return callable(value) and getattr(value, "__module__", None) == module_name
