"""Which class loads a model: that of transformers for the task, or the one that a recipe names."""

from typing import TYPE_CHECKING, Any

from configs.model_sections import Model
from trainers.own_code import own_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def model_class(model: Model, auto_model: str) -> Any:
    """Give the class with from_pretrained; raises RecipeError for a named one that is none."""
    if model.implementation is not None:
        return own_class(model.implementation)
    if model.pooling != "own":
        from trainers.tasks.pooled_classifier import PooledClassifier

        return PooledClassifier
    import transformers

    return getattr(transformers, auto_model)


def from_config(loader: Any, config: "PreTrainedConfig", **options: Any) -> Any:
    """Build a model with random weights; only auto classes make that public."""
    build = getattr(loader, "from_config", None) or loader._from_config
    return build(config, **options)


def architecture_of(loader: Any, config: "PreTrainedConfig") -> Any:
    """Give the class that a model with this config has; None where an auto class knows none."""
    if not hasattr(loader, "_model_mapping"):
        return loader
    return loader._model_mapping.get(type(config), None)
