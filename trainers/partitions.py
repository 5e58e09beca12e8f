"""Read and write one rank's share of the training state, parameter by parameter, in full precision.

A share is a flat stretch of a parameter: all of it on ZeRO-0, what the rank's partition cuts out of
it on ZeRO-1 and -2, an even slice on ZeRO-3. How shares become files stands in checkpoint.py.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from deepspeed.utils import (
    safe_get_local_fp32_param,
    safe_get_local_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)
from torch import nn

from trainers.engine import Engine, gathered, set_learning_rate, with_gradients
from trainers.storage import bytes_hash

WEIGHT = "weight"

# Reads a stretch of one parameter's state: (name, what, offset, count) -> (count,)
ReadStretch = Callable[[str, str, int, int], torch.Tensor]
# Gives a copy on the CPU of what is called so, in a type: (key, values, type) -> values
Keep = Callable[[str, torch.Tensor, torch.dtype], torch.Tensor]


@dataclass(frozen=True)
class Piece:
    """A flat stretch of one parameter's weight or of one of its optimizer moments."""

    name: str
    what: str
    """`weight`, or a key of the optimizer's state such as `exp_avg`."""
    offset: int
    """First element in the flattened parameter."""
    values: torch.Tensor
    """The elements, fp32 where they learn: a copy on the CPU, or what never changes."""


def copied(key: str, values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Copy values to the CPU, into memory of their own."""
    return values.detach().to("cpu", dtype, copy=True)


def untouched(key: str, values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Give values themselves, for such as never change."""
    return values.detach()


def moment_keys(engine: Engine) -> tuple[str, ...]:
    """Name the optimizer's moments per parameter."""
    if isinstance(engine.optimizer, torch.optim.SGD):
        has_momentum = engine.optimizer.param_groups[0]["momentum"] > 0
        return ("momentum_buffer",) if has_momentum else ()
    return ("exp_avg", "exp_avg_sq")


def local_pieces(
    engine: Engine, rank: int, world_size: int, keep: Keep = copied
) -> Iterator[Piece]:
    """Copy out what this rank owns of every trainable parameter; moves no bytes between ranks.

    On ZeRO-0 every rank holds everything, so the ranks take turns.
    """
    learning = [(n, p) for n, p in engine.model.named_parameters() if p.requires_grad]
    for index, (name, parameter) in enumerate(learning):
        if engine.stage == 0 and index % world_size != rank:
            continue
        stretch = _local_stretch(engine, parameter, rank)
        if stretch is None:
            continue
        offset, count = stretch
        for what in (WEIGHT, *moment_keys(engine)):
            values = _local_values(engine, parameter, what).flatten()[:count]
            yield Piece(name, what, offset, keep(f"{name}|{what}", values, torch.float32))


def frozen_pieces(
    engine: Engine, rank: int, world_size: int, names: Collection[str], keep: Keep = copied
) -> Iterator[Piece]:
    """Copy out this rank's share of these frozen weights, in the type they have."""
    frozen: list[tuple[str, Any]] = [
        (n, p) for n, p in engine.model.named_parameters() if n in names and not p.requires_grad
    ]
    for index, (name, parameter) in enumerate(frozen):
        if engine.stage == 3:
            values = own_values(parameter, rank)
            if len(values):
                offset = parameter.ds_tensor.numel() * rank
                yield Piece(name, WEIGHT, offset, keep(name, values, values.dtype))
        elif index % world_size == rank:
            yield Piece(name, WEIGHT, 0, keep(name, parameter.flatten(), parameter.dtype))


def own_values(parameter: Any, rank: int) -> torch.Tensor:
    """Give this rank's elements of a ZeRO-3 parameter, flat, without what fills up its partition.

    That is memory that nobody has written to.
    """
    partition: torch.Tensor = parameter.ds_tensor
    return partition[: max(0, parameter.ds_numel - partition.numel() * rank)]


def restore_state(
    engine: Engine,
    read: ReadStretch,
    rank: int,
    moves: Callable[[int], int],
    new: Collection[str] = (),
) -> None:
    """Put saved fp32 weights and moments into a primed engine; each rank reads only its share.

    `moves` counts the optimizer steps that moved what began to learn at a step. The `new`
    parameters begin to learn: they keep the weights they have, and moments of 0.
    """
    for name, parameter in engine.model.named_parameters():
        learns = parameter.requires_grad and name not in new
        stretch = _local_stretch(engine, parameter, rank) if learns else None
        if stretch is None:
            continue
        offset, count = stretch
        whats = moment_keys(engine) if engine.stage == 0 else (WEIGHT, *moment_keys(engine))
        for what in whats:
            _set_local_values(engine, parameter, what, read(name, what, offset, count))
    for group, tensor in _optimized(engine):
        state = engine.optimizer.state.get(tensor, {})
        if "step" in state:
            state["step"].fill_(float(moves(group["born"])))


def _optimized(engine: Engine) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
    """Pair what the optimizer moves with its group; ZeRO-3 takes it out of the groups."""
    groups = engine.optimizer.param_groups
    if engine.stage == 3:
        wrapper = engine.handle.optimizer
        for index, tensor in enumerate(wrapper.fp32_partitioned_groups_flat):
            yield groups[wrapper.sub_group_to_group_id[index]], tensor
        return
    for group in groups:
        for tensor in group["params"]:
            yield group, tensor


def restore_weights(engine: Engine, read: ReadStretch, rank: int, sizes: dict[str, int]) -> None:
    """Put saved weights, and nothing else, into a live engine. Collective: every rank calls this.

    `sizes` gives the number of elements of each saved parameter.
    """
    write_model_weights(engine.model, read, engine.stage, rank, sizes)
    if engine.stage:
        for name, parameter in engine.model.named_parameters():
            written = parameter.requires_grad and name in sizes
            stretch = _local_stretch(engine, parameter, rank) if written else None
            if stretch is not None:
                _set_local_values(engine, parameter, WEIGHT, read(name, WEIGHT, *stretch))


def weight_hashes(engine: Engine, rank: int, names: Collection[str]) -> dict[str, str]:
    """Hash this rank's share of trainable weights in full precision, by name."""
    hashes = {}
    for name, parameter in engine.model.named_parameters():
        stretch = _local_stretch(engine, parameter, rank) if name in names else None
        if stretch is not None:
            values = _local_values(engine, parameter, WEIGHT).flatten()[: stretch[1]]
            hashes[name] = bytes_hash(values.detach().float().cpu().numpy().tobytes())
    return hashes


def write_model_weights(
    model: nn.Module, read: ReadStretch, stage: int, rank: int, sizes: dict[str, int]
) -> None:
    """Write whole weights into the model's own parameters. Collective: every rank calls this."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in sizes:
                with gathered(stage, parameter, write=True):
                    if stage != 3 or rank == 0:
                        whole = read(name, WEIGHT, 0, sizes[name])
                        parameter.copy_(whole.view_as(parameter))


def prime(engine: Engine, feed: Callable[[], torch.Tensor]) -> None:
    """Make the optimizer's state exist without moving a weight. Collective: every rank calls this.

    Runs one optimizer step with learning rate 0 on a loss times 0; `feed` runs a forward pass and
    returns a loss.
    """
    rates = [group["lr"] for group in engine.optimizer.param_groups]
    set_learning_rate(engine, 0.0)
    for _ in range(engine.num_microbatches):
        engine.handle.backward(feed() * 0.0)
        if engine.stage == 0:
            with_gradients(engine)
        engine.handle.step()
    for group, rate in zip(engine.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _local_stretch(engine: Engine, parameter: Any, rank: int) -> tuple[int, int] | None:
    """Say which elements of a parameter this rank owns: (offset, count), None for none."""
    if engine.stage == 0:
        return 0, parameter.numel()
    if engine.stage == 3:
        count = len(own_values(parameter, rank))
        return (parameter.ds_tensor.numel() * rank, count) if count else None
    mapping = parameter._hp_mapping
    if mapping is None:
        return None
    return mapping.lp_fragment_address.start, mapping.lp_fragment_address.numel


def _local_values(engine: Engine, parameter: Any, what: str) -> torch.Tensor:
    if engine.stage == 0:
        whole: torch.Tensor = (
            parameter if what == WEIGHT else engine.optimizer.state[parameter][what]
        )
        return whole
    if engine.stage == 3:
        partition: torch.Tensor = (
            safe_get_local_fp32_param(parameter)
            if what == WEIGHT
            else safe_get_local_optimizer_state(parameter, what)
        )
        return partition
    mapping = parameter._hp_mapping
    if what == WEIGHT:
        fragment: torch.Tensor = mapping.get_hp_fragment()
        return fragment
    # DeepSpeed 0.19.8 links parameters to moments when the first group has stepped, so those of
    # further groups stay unlinked; the optimizer keeps one flat partition per group.
    (flat,) = engine.optimizer.param_groups[mapping.param_group_index]["params"]
    address = mapping.get_hp_fragment_address()
    moment: torch.Tensor = engine.optimizer.state[flat][what]
    return moment.narrow(0, address.start, address.numel)


def _set_local_values(engine: Engine, parameter: Any, what: str, values: torch.Tensor) -> None:
    with torch.no_grad():
        if engine.stage != 3:
            target = _local_values(engine, parameter, what)
            target.copy_(values.view_as(target))
            return
        # ZeRO-3 slices are padded to equal size on all ranks.
        padded = nn.functional.pad(values, (0, parameter.ds_tensor.numel() - values.numel()))
        if what == WEIGHT:
            safe_set_local_fp32_param(parameter, padded)
        else:
            safe_set_local_optimizer_state(parameter, padded, what)
