"""Decide which parameters learn and mark them; how fast they learn stands in learning_rates.py.

Blocks are found as the model's largest list of like modules (encoder layers, decoder blocks,
stages), never by the model's name.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from configs.errors import RecipeError
from configs.freezing_sections import Learning


def find_blocks(model: Any, key: str = "freezing.last") -> tuple[str, nn.ModuleList]:
    """Find the model's block list: the list of like modules with the most parameters.

    Of an encoder and a decoder it is the decoder's, which is nearer to the output. Returns its name
    in the model and the list. Raises RecipeError when the model has none, about
    the key of the recipe that asked.
    """
    best: tuple[int, str, nn.ModuleList] | None = None
    decoder = model.get_decoder() if has_encoder_and_decoder(model) else model
    within = set(decoder.modules())
    for name, module in model.named_modules():
        if (
            isinstance(module, nn.ModuleList)
            and module in within
            and len(module) > 1
            and len(set(map(type, module))) == 1
        ):
            size = sum(count_elements(p) for p in module.parameters())
            if best is None or size > best[0]:
                best = (size, name, module)
    if best is None:
        raise RecipeError(
            f"{key} counts blocks, but this model has no list of like modules. "
            "Use freezing.train with regular expressions"
        )
    return best[1], best[2]


def has_encoder_and_decoder(model: Any) -> bool:
    """Say whether a decoder reads, besides what it writes, what an encoder made of the input."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def count_elements(parameter: nn.Parameter) -> int:
    """Count a parameter's elements, also where ZeRO-3 has taken them away."""
    return int(parameter.ds_numel) if hasattr(parameter, "ds_numel") else parameter.numel()


def choose_trainable(
    model: nn.Module, learning: Learning, head_parameters: Iterable[str]
) -> frozenset[str]:
    """Name the parameters that learn.

    `head_parameters` names the head, which always learns. With `last`, what stands between
    the last block and the head (a pooler, a final norm) learns too, since it is nearer to the
    output. Raises RecipeError for a pattern that matches nothing and for more blocks than there
    are.
    """
    names = [name for name, _ in model.named_parameters()]
    head = set(head_parameters) & set(names)
    chosen = set(names) if learning.mode == "full" else set(head)
    if learning.last is not None:
        chosen |= _last_blocks(model, learning.last, names)
    for pattern in learning.train:
        chosen |= _matching(pattern, names)
    if learning.embeddings is not None:
        embeddings = embedding_names(model)
        chosen = chosen | embeddings if learning.embeddings else chosen - embeddings
    if not chosen:
        raise RecipeError(
            f"freezing.mode {learning.mode} leaves no parameter that learns: the model has no new "
            "head. Use full, or partial with last or train"
        )
    return frozenset(chosen)


def bias_names(model: nn.Module) -> frozenset[str]:
    """Name the biases."""
    return frozenset(n for n, _ in model.named_parameters() if n.split(".")[-1] == "bias")


def norm_names(model: nn.Module) -> frozenset[str]:
    """Name the weights and biases of normalisation modules, known by their class."""
    norms = [
        name for name, module in model.named_modules() if "norm" in type(module).__name__.lower()
    ]
    return frozenset(n for n, _ in model.named_parameters() if n.rpartition(".")[0] in norms)


def mark_trainable(model: nn.Module, trainable: frozenset[str]) -> None:
    """Let exactly the named parameters require a gradient.

    Must run before the engine is built: DeepSpeed gives no gradient to a parameter that is switched
    on under a live engine, and goes on moving one that is switched off (DeepSpeed#5639).
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)


def _last_blocks(model: nn.Module, last: int, names: list[str]) -> set[str]:
    list_name, blocks = find_blocks(model)
    if last > len(blocks):
        raise RecipeError(
            f"freezing.last is {last} but {list_name} has {len(blocks)} blocks. "
            f"Use at most {len(blocks)}"
        )
    in_blocks = [name for name in names if name.startswith(f"{list_name}.")]
    first = len(blocks) - last
    chosen = {n for n in in_blocks if int(n[len(list_name) + 1 :].split(".", 1)[0]) >= first}
    behind = names[names.index(in_blocks[-1]) + 1 :]
    return chosen | set(behind)


def _matching(pattern: str, names: list[str]) -> set[str]:
    found = {name for name in names if re.search(pattern, name)}
    if not found:
        plain = re.sub(r"[^\w.]", "", pattern)
        near = difflib.get_close_matches(plain, names, n=3, cutoff=0.3) or names[-3:]
        raise RecipeError(
            f"freezing.train pattern {pattern!r} matches no parameter. "
            f"Parameters with names like it: {', '.join(near)}"
        )
    return found


def embedding_names(model: Any) -> set[str]:
    """Name the parameters of the input embeddings: the module that holds the input embedding table.

    For BERT that is the embeddings module with its position table and norm; where the table stands
    directly in the backbone (GPT-2, Llama) it is the table itself.
    """
    table = model.get_input_embeddings()
    modules = dict(model.named_modules())
    table_name = next(name for name, module in modules.items() if module is table)
    parent = table_name.rpartition(".")[0]
    owner = table_name
    if parent and all(not isinstance(child, nn.ModuleList) for child in modules[parent].modules()):
        owner = parent
    return {name for name, _ in model.named_parameters() if name.startswith(f"{owner}.")}


def frozen_hashes(model: nn.Module) -> dict[str, str]:
    """Hash this rank's share of every frozen parameter, by name.

    Under ZeRO-3 a rank hashes its own partition; all ranks together cover the whole model.
    """
    from trainers.storage import bytes_hash

    hashes = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            local = parameter.ds_tensor if hasattr(parameter, "ds_tensor") else parameter
            flat = local.detach().contiguous().cpu().flatten().view(torch.uint8)
            hashes[name] = bytes_hash(flat.numpy().tobytes())
    return hashes
