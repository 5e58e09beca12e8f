"""Import early what fine-tuning a recipe will need; what it is needed for stands elsewhere."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from configs.errors import THAW_ERRORS
from configs.schema import Recipe


@contextmanager
def uncollected() -> Iterator[None]:
    """Import without the garbage collector, which takes a fifth of the time and finds nothing.

    What was imported is left out of later collections too.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def import_for(recipe: Recipe) -> None:
    """Import the training loop and the code of the recipe's model.

    A model that cannot be found is passed over here: loading it says what is wrong. Raises
    RecipeError for a person's own code that cannot be imported.
    """
    import_module("trainers.finetune")
    from trainers.own_code import check_own_code

    check_own_code(recipe)
    from trainers.tasks import functions_of
    from trainers.tasks.model_class import architecture_of, model_class
    from trainers.tasks.model_config import load_config

    with suppress(*THAW_ERRORS, KeyError):
        loader = model_class(recipe.model, functions_of(recipe.task).auto_model)
        architecture_of(loader, load_config(recipe.model))
