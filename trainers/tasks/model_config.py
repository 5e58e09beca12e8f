"""Load the config of a pre-trained model, from a folder or the hub; weights are pretrained.py's."""

from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from configs.model_sections import Model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

LATE = ("roberta", "camembert", "longformer", "mpnet", "data2vec", "xmod", "ibert", "luke")
"""Families whose first position is pad_token_id + 1."""


def load_config(model: Model, *, local_only: bool = False) -> "PreTrainedConfig":
    """Load the model's config; raises RecipeError when there is none.

    With `local_only` the hub is not asked: what is neither a folder nor in its cache is missing.
    """
    from transformers import AutoConfig

    if model.implementation is not None:
        from trainers.own_code import own_class

        own_class(model.implementation)  # it may make its config known to AutoConfig
    source = source_of(model) | {"local_files_only": local_only}
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(model.path, **source)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"model.path ({model.path}) is no model that can be loaded: {first_line(error)}. "
            "Give a hub id, or a folder with config.json, weights and tokenizer"
        ) from error
    return config


def max_positions(config: "PreTrainedConfig") -> int:
    """Give the most tokens that the model has positions for."""
    text_config = config.get_text_config()
    positions = getattr(text_config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return 10**9
    late = any(family in config.model_type for family in LATE)
    return positions - (text_config.pad_token_id + 1 if late else 0)


def source_of(model: Model) -> dict[str, Any]:
    """Give the arguments by which transformers finds just what the recipe names.

    Raises RecipeError for a folder that is not there, which would be looked for on the hub.
    """
    if model.is_folder and not Path(model.path).expanduser().is_dir():
        raise RecipeError(
            f"model.path ({model.path}) is no folder on {gethostname()}. Give one that every node "
            "sees, or an id of the hub"
        )
    return {"revision": model.revision, "trust_remote_code": model.trust_remote_code}


def first_line(error: BaseException) -> str:
    """Give the first line of what a library says, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
