"""Put low-rank adapters beside the linear modules of a model; the layers themselves are peft's.

How they are drawn stands in trainers/model.py, how they are merged and saved in
trainers/adapter_export.py.
"""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from configs.adapter_sections import Lora
from configs.errors import RecipeError
from configs.outside_text import one_line
from trainers.strategy.freezing import find_blocks

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER = "default"
"""What peft calls the one adapter of a module."""
PARTS = ("lora_A", "lora_B", "lora_magnitude_vector")
KEY = "freezing.lora.targets"


def add_adapters(model: nn.Module, lora: Lora, head: Collection[str]) -> frozenset[str]:
    """Put an adapter beside each targeted module, in place; name the parameters that this made.

    The weight `m.weight` becomes `m.base_layer.weight`; the head keeps its names. Adapters of LoRA
    (Hu et al. 2021) and the magnitudes of DoRA (Liu et al. 2024) begin as what changes nothing.
    Collective under ZeRO-3, where it must run while HfDeepSpeedConfig is alive: peft asks it
    whether the weights whose norm it takes have to be gathered. Raises RecipeError for targets that
    the model does not have, or that peft refuses for it.
    """
    from peft import inject_adapter_in_model

    targets = find_targets(model, lora.targets, head)
    try:
        inject_adapter_in_model(adapter_config(model, lora, targets), model, ADAPTER)
    except ValueError as error:
        raise RecipeError(
            f"{KEY}: peft puts no adapter beside {_shown(targets)}: {one_line(str(error))}. Name "
            "other modules"
        ) from error
    slice_like_the_others(model)
    return adapter_names(model)


def adapter_config(model: nn.Module, lora: Lora, targets: Sequence[str]) -> "LoraConfig":
    """Give peft's description of adapters beside these modules, which may have theirs already."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    found = [model.get_submodule(name) for name in targets]
    below = [each.get_base_layer() if isinstance(each, LoraLayer) else each for each in found]
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        use_dora=lora.dora,
        use_rslora=lora.rslora,
        # GPT-2's Conv1D keeps its weight the other way round.
        fan_in_fan_out=any(not isinstance(each, nn.Linear) for each in below),
    )


def adapter_names(model: nn.Module) -> frozenset[str]:
    """Name the parameters of the adapters."""
    return frozenset(name for name, _ in model.named_parameters() if adapter_part(name))


def adapter_part(name: str) -> str | None:
    """Say which part of an adapter a parameter is; None for those of the model itself."""
    parts = name.split(".")
    if len(parts) > 3 and parts[-2] == ADAPTER and parts[-3] in PARTS:
        return parts[-3]
    return None


def find_targets(
    model: nn.Module, asked: Literal["auto"] | tuple[str, ...], head: Collection[str]
) -> list[str]:
    """Name the modules that get an adapter: linear ones below the head.

    `auto` takes all in the model's block list; a name takes the module of that name and all whose
    names end with it, part by part. Raises RecipeError naming what was asked and what there is.
    """
    linear = _linear_names(model, head)
    if asked == "auto":
        return _in_blocks(model, linear)
    chosen: dict[str, None] = {}
    problems = []
    for name in asked:
        found = [each for each in linear if each == name or each.endswith(f".{name}")]
        chosen |= dict.fromkeys(found)
        if not found:
            problems.append(_absent(model, name, linear))
    if problems:
        raise RecipeError("; ".join(problems))
    return [name for name in linear if name in chosen]


def _linear_names(model: nn.Module, head: Collection[str]) -> list[str]:
    found, inside = [], ""
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            inside = f"{name}."  # it takes the weights out of its modules and never calls them
        elif inside and name.startswith(inside):
            continue
        elif isinstance(module, _linear_kinds()) and f"{name}.weight" not in head:
            found.append(name)
    return found


def _linear_kinds() -> tuple[type[nn.Module], ...]:
    # Imported here: transformers is slow to import, and naming what learns needs none of it.
    from transformers.pytorch_utils import Conv1D

    return nn.Linear, Conv1D


def _in_blocks(model: nn.Module, linear: Iterable[str]) -> list[str]:
    try:
        list_name, _ = find_blocks(model)
    except RecipeError as error:
        raise RecipeError(
            f"{KEY} auto looks in the model's blocks, but this model has no list of like modules. "
            f"Name modules: {_shown(_endings(linear))}"
        ) from error
    found = [name for name in linear if name.startswith(f"{list_name}.")]
    if not found:
        raise RecipeError(
            f"{KEY} auto finds no linear module in {list_name}. Adapters stand beside linear "
            f"modules; name some of: {_shown(_endings(linear))}"
        )
    return found


def _absent(model: nn.Module, name: str, linear: Sequence[str]) -> str:
    """Say why a name is no target, and what is nearest."""
    others = [(n, m) for n, m in model.named_modules() if n == name or n.endswith(f".{name}")]
    why = "is no module of this model"
    if others:
        kind = type(others[0][1])
        is_linear = issubclass(kind, _linear_kinds())
        why = "is of the head, which learns anyway" if is_linear else f"is a {kind.__name__}"
    choices = list(linear) if "." in name else _endings(linear)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.4) or choices
    return f"{KEY}: {name!r} {why}. Linear modules there are: {_shown(near)}"


def _endings(names: Iterable[str]) -> list[str]:
    """Give the last parts of names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) or "none"


def slice_like_the_others(model: Any) -> None:
    """Cut new parameters into slices where ZeRO-3 has cut the others. Collective there.

    The engine would do so later; until then a commit has to be readable into them, slice by slice.
    """
    sliced = [p for p in model.parameters() if hasattr(p, "ds_id")]
    whole = [p for p in model.parameters() if not hasattr(p, "ds_id")]
    if sliced and whole:
        for parameter in whole:
            parameter.data = parameter.data.to(sliced[0].dtype)
        sliced[0].convert_to_zero_parameters(whole)
