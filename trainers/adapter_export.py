"""Merge adapters into whole weights, and save them alone for peft; the folder is export.py's."""

import copy
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from configs.adapter_sections import Lora
from configs.schema import Recipe
from trainers.model_card import is_hub_id
from trainers.tasks import functions_of
from trainers.tasks.equal_lengths import feed_equal_lengths, sees_padding

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel

ADAPTER_FOLDER = "adapter"
ADAPTED = {
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModelForTokenClassification": "TOKEN_CLS",
    "AutoModelForSeq2SeqLM": "SEQ_2_SEQ_LM",
    "AutoModelForCausalLM": "CAUSAL_LM",
}
"""What peft calls the task of a class of transformers; it has no name for others."""
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft writes before the names of the model it wraps."""
BASE = ".base_layer."
ROUNDING = 2.0**-23
"""A merged weight is rounded twice, by 2^-24 of its size each: the product, then the sum."""
GROWTH = 10.0
"""How much an error may grow on its way to the logits."""


def build_merged(
    model: "PreTrainedModel", state_dict: "Mapping[str, Tensor]", lora: Lora, dtype: "torch.dtype"
) -> "PreTrainedModel":
    """Build a model without adapters that computes what the weights with adapters do.

    state_dict holds whole CPU tensors under the live model's names, in fp32; it stays as it is. Of
    the live model only class, config and the places of its adapters are used. What is merged is
    rounded to `dtype` at the end.
    """
    import torch
    from peft import LoraModel

    from trainers.strategy.adapters import ADAPTER, adapter_config

    whole = build_empty(model)
    with torch.device("meta"):
        wrapped = LoraModel(whole, adapter_config(whole, lora, adapted_modules(model)), ADAPTER)
    whole.load_state_dict(state_dict, strict=True, assign=True)
    # Safe: into copies, which leaves the base weights of state_dict alone.
    merged: nn.Module = wrapped.merge_and_unload(safe_merge=True)
    for parameter in merged.parameters():
        parameter.data = parameter.data.to(dtype)
    return cast("PreTrainedModel", merged)


def save_adapter(
    folder: Path,
    state_dict: "Mapping[str, Tensor]",
    model: "PreTrainedModel",
    recipe: Recipe,
    dtype: "torch.dtype",
) -> None:
    """Write adapters and head as peft does: adapter_model.safetensors and adapter_config.json.

    The head stands under modules_to_save: that of the base model is another, or none.
    """
    from peft import TaskType, get_peft_model_state_dict
    from safetensors.torch import save_file

    from trainers.strategy.adapters import adapter_config

    lora, head = recipe.freezing.lora, head_names(model)
    assert lora is not None
    adapters = get_peft_model_state_dict(
        model, state_dict=dict(state_dict), save_embedding_layers=False
    )
    tensors = adapters | {name: state_dict[name] for name in head}
    folder.mkdir(parents=True, exist_ok=True)
    stored = {PREFIX + name: t.to(dtype).contiguous() for name, t in tensors.items()}
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    config: Any = adapter_config(model, lora, adapted_modules(model))
    asked = ADAPTED.get(functions_of(recipe.task).auto_model)
    config.task_type = TaskType[asked] if asked is not None else None
    if is_hub_id(recipe.model.path):
        config.base_model_name_or_path = recipe.model.path
        config.revision = recipe.model.revision
    config.modules_to_save = head_modules(model, head)
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # peft's set has no order
    config.save_pretrained(str(folder))


def adapter_difference(
    folder: Path,
    state_dict: "Mapping[str, Tensor]",
    model: "PreTrainedModel",
    fed: "tuple[dict[str, Tensor], Tensor]",
    output_of: "Callable[[Any], Tensor]",
) -> float:
    """Load saved adapters onto the base model with peft; returns the largest difference of a logit.

    The head of that base model is 0, so that only the saved one can give the logits.
    """
    import torch
    from peft import PeftModel

    inputs, logits = fed

    from trainers.strategy.adapters import adapter_part

    head = head_names(model)
    base = {n.replace(BASE, "."): t for n, t in state_dict.items() if adapter_part(n) is None}
    base |= {name: torch.zeros_like(state_dict[name]) for name in head}
    whole = build_empty(model)
    whole.load_state_dict(base, strict=True, assign=True)
    if sees_padding(model):
        feed_equal_lengths(whole)
    with warnings.catch_warnings():
        # peft 0.21 asks for what transformers 5.23 has given another name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        loaded = PeftModel.from_pretrained(whole, str(folder), torch_device="cpu").eval()
    with torch.no_grad():
        found = output_of(loaded(**inputs))
    return float((found.float() - logits.float()).abs().max())


def build_empty(model: "PreTrainedModel") -> "PreTrainedModel":
    """Build a model of the same class and config, without adapters and weights.

    Its buffers are real: those that no file holds (positions) would be anything otherwise.
    """
    from accelerate import init_empty_weights

    config = copy.deepcopy(model.config)
    if "use_cache" in config:
        config.use_cache = True  # training goes without, those who use the model do not
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # what is exported has whole weights
    with init_empty_weights(include_buffers=False):
        return type(model)(config)


def merge_rounding(model: "nn.Module") -> float:
    """Bound what merging in fp32 may change of a logit of size 1.

    Each merged weight is off by ROUNDING of itself at most, so is what its module gives; the errors
    of all modules add up, and grow by GROWTH on their way.
    """
    return GROWTH * ROUNDING * len(adapted_modules(model))


def adapted_modules(model: "nn.Module") -> list[str]:
    """Name the modules that have an adapter."""
    from peft.tuners.lora import LoraLayer

    return [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def head_names(model: "nn.Module") -> list[str]:
    """Name what learns besides the adapters."""
    from trainers.strategy.adapters import adapter_part

    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    return [name for name in learning if adapter_part(name) is None]


def head_modules(model: "nn.Module", head: list[str]) -> list[str]:
    """Name the topmost modules that hold nothing but parameters of the head."""
    found: list[str] = []
    for name, module in model.named_modules():
        inside = {f"{name}.{inner}" for inner, _ in module.named_parameters()}
        below = any(name.startswith(f"{above}.") for above in found)
        if name and inside and not below and inside <= set(head):
            found.append(name)
    return found
