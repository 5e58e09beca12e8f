"""Load the weights of the blocks in 4 bits, and give them whole again; who learns is strategy's.

NormalFloat with doubly quantized constants, computed in bf16 (QLoRA, Dettmers et al. 2023), by
bitsandbytes through transformers. Loading the same weights again gives the same bits, so what lies
beside a parameter (its scales) need not be in a commit.
"""

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from configs.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

KEY = "freezing.lora.bits 4"
PACKED = "Params4bit"
"""Class of bitsandbytes' parameter that holds two weights to a byte."""


def require_cuda(has_cuda: Callable[[], bool] | None = None) -> None:
    """Raise RecipeError where this worker cannot load weights in 4 bits; torch tells of CUDA."""
    import torch

    if not (has_cuda or torch.cuda.is_available)():
        raise RecipeError(f"{KEY} needs CUDA, but this worker has no such GPU. Leave bits out")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RecipeError(
            f"{KEY} needs the package bitsandbytes, which this worker does not have. "
            "Install thaw[qlora] on every node"
        )


def four_bit_loading(loader: Any, config: "PreTrainedConfig") -> dict[str, Any]:
    """Give the arguments with which from_pretrained keeps the linear modules of blocks in 4 bits.

    Embeddings, pooler and head stay whole. Raises RecipeError for a model with Conv1D (GPT-2),
    whose weights bitsandbytes turns around.
    """
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.pytorch_utils import Conv1D

    from trainers.strategy.freezing import find_blocks
    from trainers.tasks.model_class import from_config

    with torch.device("meta"):
        empty = from_config(loader, config)
    list_name, blocks = find_blocks(empty, KEY)
    if any(isinstance(module, Conv1D) for module in blocks.modules()):
        raise RecipeError(f"{KEY} does not go with the Conv1D modules of this model. Leave it out")
    outside = [
        name
        for name, module in empty.named_modules()
        if isinstance(module, torch.nn.Linear) and not name.startswith(f"{list_name}.")
    ]
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=outside,
    )
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": quantization, "device_map": {"": device}}


def whole_weight(parameter: "nn.Parameter") -> "Tensor":
    """Give a parameter as the numbers it stands for: those of 4 bits unpacked, others as is."""
    if type(parameter).__name__ != PACKED:
        return parameter.detach()
    from peft.utils.integrations import dequantize_bnb_weight

    unpacked: Tensor = dequantize_bnb_weight(parameter)
    return unpacked.detach()
