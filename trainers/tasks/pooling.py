"""How a text's hidden states become the one vector that a head reads, where a recipe says it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import RecipeError
from configs.model_sections import Model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Pooling = Literal["mean", "cls"]
KEY = "model.pooling"
CONFIG_KEY = "thaw_pooling"
"""Key of a config with how its model pools; pooled_classifier.py, which stands alone, has it."""
MODULES = "modules.json"
POOLING = "1_Pooling/config.json"
KNOWN: dict[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
}
WIDER = ("Transformer", "Pooling", "Normalize")
"""Modules of sentence-transformers that a head can do without or stand behind."""


def pooling_of(model: Model) -> Pooling | None:
    """Return how a recipe's model pools; None for its own head.

    Raises RecipeError for a folder that does not say it, or says what no head here can do.
    """
    if model.pooling == "own":
        return None
    if model.pooling != "folder":
        return model.pooling
    found = read_json(model, POOLING)
    if not isinstance(found, dict):
        raise RecipeError(
            f"{KEY} is folder but {model.path} has no {POOLING}, by which sentence-transformers "
            "says it. Set it to mean, cls or own"
        )
    modes = pooling_modes(found)
    if len(modes) != 1 or modes[0] not in KNOWN:
        raise RecipeError(
            f"{KEY} is folder but {POOLING} of {model.path} asks for "
            f"{' with '.join(modes) or 'nothing'}. Set it to mean, cls or own"
        )
    others = [name for name in _modules(model) if name not in WIDER]
    if others:
        raise RecipeError(
            f"{KEY} is folder but {MODULES} of {model.path} also has {', '.join(others)}, which a "
            "head does not stand on. Set it to mean or cls to leave that out"
        )
    return KNOWN[modes[0]]


def pooling_modes(config: dict[str, Any]) -> list[str]:
    """Name what a 1_Pooling/config.json asks for, in the words of any version."""
    mode = config.get("pooling_mode")
    if mode is not None:
        return [mode] if isinstance(mode, str) else [str(each) for each in mode]
    start = "pooling_mode_"
    return [
        name.removeprefix(start) for name, on in config.items() if name.startswith(start) and on
    ]


def set_pooling(config: "PreTrainedConfig", model: Model) -> "PreTrainedConfig":
    """Return a config that says how its model pools; raises RecipeError for one that cannot."""
    from trainers.tasks import pooled_classifier

    pooling = pooling_of(model)
    if pooling is None:
        if hasattr(config, CONFIG_KEY):  # of an export that begins anew
            delattr(config, CONFIG_KEY)
            config.auto_map = {}
        return config
    setattr(config, CONFIG_KEY, pooling)
    try:
        pooled_classifier.encoder_of(config)
    except ValueError as error:
        raise RecipeError(
            f"{KEY} is {model.pooling} but {error}. Leave it out, or choose another model"
        ) from error
    return config


def refuse_odd_states(model: Any) -> None:
    """Let a model raise RecipeError where its encoder does not give one state a token."""

    def look(_: Any, __: Any, inputs: dict[str, Any], outputs: Any) -> None:
        states = getattr(outputs, "last_hidden_state", None)
        ids = inputs["input_ids"]
        if states is None or states.shape[:2] != ids.shape:
            raise RecipeError(
                f"{KEY} needs the last hidden state of each token, which "
                f"{type(model.base_model).__name__} does not give. Leave it out, or choose another "
                "model"
            )

    model.base_model.register_forward_hook(look, with_kwargs=True)


def _modules(model: Model) -> list[str]:
    """Name the modules of a folder of sentence-transformers."""
    found = read_json(model, MODULES)
    types = [each.get("type", "") for each in found or [] if isinstance(each, dict)]
    return [str(each).rpartition(".")[2] for each in types]


def read_json(model: Model, name: str) -> Any:
    """Read a JSON file of a model, of a folder or the hub; None where it has none."""
    if model.is_folder:
        path: Path | None = Path(model.path).expanduser() / name
    else:
        from transformers.utils import cached_file

        found = cached_file(
            model.path,
            name,
            revision=model.revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        path = Path(found) if found is not None else None
    if path is None or not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is no JSON. Copy the model again") from error
