"""Build the model of a recipe, the same on every rank; weights of a commit come later."""

import math
from typing import Any

import torch
from torch import nn

from configs.errors import RecipeError
from configs.schema import Recipe
from trainers.engine import deepspeed_config, gathered, running_stage
from trainers.quantization import require_cuda
from trainers.seeds import derive_seed
from trainers.strategy.adapters import adapter_part, add_adapters
from trainers.tasks import functions_of
from trainers.tasks.model_config import first_line


def load_model(
    recipe: Recipe, label_names: tuple[str, ...], world_size: int
) -> tuple[Any, frozenset[str]]:
    """Load the base model, add adapters where the recipe asks for them, and draw what is new.

    Also names the parameters of the head.

    Collective: every rank calls this. Under ZeRO-3 each rank keeps only its slice of the weights
    while they load; a model from scratch is drawn whole, the same on every rank, and cut later.
    What learns is marked later, phase by phase.
    """
    stage = running_stage(recipe)
    # transformers asks whether ZeRO-3 is on through a weak reference to this object.
    slices = stage == 3 and not recipe.model.from_scratch
    announcement = _announce_zero3(recipe, world_size) if slices else None
    task = functions_of(recipe.task)
    lora = recipe.freezing.lora
    bits = lora.bits if lora is not None else None
    if bits is not None:
        require_cuda()
    torch.manual_seed(derive_seed(recipe.seed, "from scratch"))
    model, head, new = task.build_model(recipe.model, recipe.task, label_names, bits)
    if lora is not None:
        new |= add_adapters(model, lora, head)
    del announcement
    draw_new_parameters(model, new, stage, recipe.seed)
    if recipe.activation_checkpointing:
        _recompute_activations(model, recipe.model.path)
    return model, head


def _recompute_activations(model: Any, path: str) -> None:
    try:
        # The re-entrant kind kills the gradients above a frozen prefix (transformers#21381).
        model.gradient_checkpointing_enable({"use_reentrant": False})
    except ValueError as error:
        raise RecipeError(
            f"activation_checkpointing is on but model.path ({path}) cannot recompute activations: "
            f"{first_line(error)}. Leave it out, or use a smaller batch.microbatch_size"
        ) from error


def draw_new_parameters(model: nn.Module, new: frozenset[str], stage: int, seed: int) -> None:
    """Draw the new parameters anew, each from its own seed. Collective: every rank calls this.

    What transformers and peft drew depends on what else the process drew before, and under ZeRO-3
    on the rank. Matrices are normal with the model's initializer_range, biases 0, other vectors 1.
    Of an adapter A is uniform as peft has it (Kaiming, a = sqrt(5)), B is 0, and the magnitude,
    which is the weight's own, stays.
    """
    std = float(getattr(model.config, "initializer_range", None) or 0.02)
    for name, parameter in model.named_parameters():
        if name not in new:
            continue
        source = torch.Generator().manual_seed(derive_seed(seed, "new", name))
        part = adapter_part(name)
        with gathered(stage, parameter, write=True), torch.no_grad():
            if part == "lora_A":
                drawn = torch.empty(parameter.shape)
                nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=source)
                parameter.copy_(drawn)
            elif part == "lora_B":
                parameter.zero_()
            elif part is None and parameter.dim() >= 2:
                parameter.copy_(torch.randn(parameter.shape, generator=source) * std)
            elif part is None:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def _announce_zero3(recipe: Recipe, world_size: int) -> Any:
    from transformers.integrations import HfDeepSpeedConfig

    return HfDeepSpeedConfig(deepspeed_config(recipe, world_size, num_trainable=2**31))
