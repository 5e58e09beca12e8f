"""What a folder of sentence-transformers says of its vectors: pooling, length and prompts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError
from configs.model_sections import Model
from trainers.tasks.pooling import MODULES, POOLING, WIDER, pooling_modes, read_json

if TYPE_CHECKING:
    from torch import Tensor

PROMPTS = "config_sentence_transformers.json"
KNOWN = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
    "lasttoken": "lasttoken",
}
SHOWN = {
    "mean": "the mean of its tokens' states",
    "cls": "the state of its first token",
    "max": "the highest of its tokens' states",
    "lasttoken": "the state of its last token",
}


@dataclass(frozen=True)
class Vectors:
    """How texts become vectors; what a folder says that is of transformers alone."""

    pooling: str = "mean"
    """mean, cls, max or lasttoken"""
    has_length_1: bool = True
    """Whether vectors are given at length 1."""
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    """Name of the prompt that stands before each text."""

    @property
    def prompt(self) -> str:
        """What stands before each text."""
        return "" if self.default_prompt is None else self.prompts[self.default_prompt]

    def remark(self) -> str | None:
        """Say how texts become vectors; None where that is as usual."""
        parts = []
        if self.pooling != "mean" or not self.has_length_1:
            length = "at length 1" if self.has_length_1 else "at its own length"
            parts.append(f"the vector of a text is {SHOWN[self.pooling]}, {length}")
        if self.prompt:
            parts.append(f"each text begins with the prompt {self.prompt!r}")
        others = [name for name, text in self.prompts.items() if text and not self.prompt]
        if others:
            parts.append(
                f"the prompts {', '.join(others)} are kept for the export and stand before no text "
                "here, since none is the default"
            )
        return f"as the model's folder says, {' and '.join(parts)}" if parts else None


def vectors_of(model: Model) -> Vectors:
    """Read how a model's folder makes vectors of texts.

    Raises RecipeError for one that does it in a way that is not trained here.
    """
    listed = read_json(model, MODULES)
    modules = {} if listed is None else _modules(model, listed)
    folder = modules["Pooling"] if modules else POOLING.partition("/")[0]
    found = read_json(model, f"{folder}/config.json")
    if modules and not isinstance(found, dict):
        raise RecipeError(
            f"{MODULES} of {model.path} names {folder}, which has no config.json. Copy the model "
            "again"
        )
    config = found if isinstance(found, dict) else {"pooling_mode": "mean"}
    modes = pooling_modes(config)
    if len(modes) != 1 or modes[0] not in KNOWN:
        raise RecipeError(
            f"{folder}/config.json of {model.path} pools by {' with '.join(modes) or 'nothing'}, "
            "which is not trained here. Use a model that pools by one of cls_token, mean_tokens, "
            "max_tokens and lasttoken"
        )
    prompts, default = _prompts(model)
    if default is not None and prompts[default] and config.get("include_prompt") is False:
        raise RecipeError(
            f"{folder}/config.json of {model.path} leaves the prompt out of the vector "
            "(include_prompt), which is not trained here. Set its default_prompt_name to null"
        )
    return Vectors(KNOWN[modes[0]], not modules or "Normalize" in modules, prompts, default)


def keep_vectors(model: Any, vectors: Vectors) -> None:
    """Keep with a model or its tokenizer how they make vectors, for whoever has but one of them."""
    model.thaw_vectors = vectors


def kept_vectors(model: Any) -> Vectors:
    """Return how a model or tokenizer makes vectors; as usual where nothing was kept."""
    found: Vectors = getattr(model, "thaw_vectors", Vectors())
    return found


def pooled(states: "Tensor", mask: "Tensor", pooling: str = "mean") -> "Tensor":
    """Pool states (texts, tokens, width) where the mask is 1, in fp32; gives (texts, width).

    Where a text has no token but padding its vector is 0.
    """
    import torch

    mask = mask.to(states.device)
    kept = mask.float()[:, :, None]
    if pooling == "mean":
        return (states.float() * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
    if pooling == "max":
        lowest = torch.finfo(torch.float32).min
        highest = states.float().masked_fill(kept == 0, lowest).amax(1)
        return highest.masked_fill(kept.sum(1) == 0, 0.0)
    # Padding may stand at either end.
    first = mask.argmax(1)
    last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
    places = first if pooling == "cls" else last
    rows = torch.arange(len(states), device=states.device)
    return states[rows, places].float() * kept[rows, places]


def _modules(model: Model, listed: Any) -> dict[str, str]:
    """Return the path of each module by its class; raises RecipeError for others than are known."""
    entries = [each for each in listed if isinstance(each, dict)] if listed else []
    paths = {
        str(each.get("type", "")).rpartition(".")[2]: str(each.get("path", "")) for each in entries
    }
    others = [name for name in paths if name not in WIDER]
    if others or "Pooling" not in paths:
        raise RecipeError(
            f"{MODULES} of {model.path} {f'also has {others[0]}' if others else 'has no Pooling'}, "
            "and a vector is trained here that a Transformer, a Pooling and at most a Normalize "
            "give. Use another model, or a folder without modules.json, whose tokens' mean is taken"
        )
    return paths


def _prompts(model: Model) -> tuple[dict[str, str], str | None]:
    found = read_json(model, PROMPTS)
    found = found if isinstance(found, dict) else {}
    prompts = {str(name): str(text) for name, text in (found.get("prompts") or {}).items()}
    default = found.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise RecipeError(
            f"{PROMPTS} of {model.path} names {default} as its default prompt, which it lacks. Add "
            "it to prompts, or set default_prompt_name to null"
        )
    return prompts, default
