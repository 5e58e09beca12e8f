"""Import early what fine-tuning a recipe will need; what it is needed for stands elsewhere."""

from contextlib import suppress
from importlib import import_module

from configs.errors import THAW_ERRORS
from configs.schema import Recipe


def import_for(recipe: Recipe) -> None:
    """Import the training loop and the code of the recipe's model.

    A model that cannot be found is passed over here: loading it says what is wrong.
    """
    import_module("trainers.finetune")
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    from trainers.tasks.classifier import load_config

    with suppress(*THAW_ERRORS, KeyError):
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(load_config(recipe.model))]
