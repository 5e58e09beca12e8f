"""Build a DeepSpeed engine for what learns; the step that drives it stands in step.py.

DeepSpeed owns gradient accumulation: accumulating by hand gives wrong weights on ZeRO-1 and -2
(deepspeed 0.19.8), while `train_batch_size = lanes` and one engine step per microbatch matches
plain torch on every stage.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import deepspeed
import torch
from deepspeed.runtime.engine import DeepSpeedEngine
from torch import nn

from configs.errors import RecipeError, reason_of
from configs.model_sections import Optimizer, Zero
from configs.schema import Recipe
from trainers.heartbeat import beat
from trainers.place import Place
from trainers.strategy.freezing import count_elements
from trainers.strategy.learning_rates import parameter_groups
from trainers.strategy.prefix import Box

if TYPE_CHECKING:
    from trainers.batch_statistics import BatchStatistics

# Up to this many ranks ZeRO-1/2 reduce each partition to its owner by itself: 2 bytes sent per
# trainable byte instead of 3. With more ranks one reduction per rank costs more than it saves.
FEW_RANKS = 8


@dataclass(frozen=True)
class Engine:
    """A live DeepSpeed engine with what our code needs to know about it."""

    handle: DeepSpeedEngine
    model: nn.Module
    optimizer: torch.optim.Optimizer
    """The torch optimizer inside DeepSpeed's wrapper; its groups carry the learning rate."""
    stage: int
    """The ZeRO stage that runs."""
    num_microbatches: int
    """Microbatches that this rank feeds per optimizer step, or their parts."""
    max_grad_norm: float
    num_parts: int = 1
    """Parts that each microbatch is fed in."""
    box: Box | None = None
    """Takes what stands for a frozen prefix that was taken out of the model."""
    statistics: "BatchStatistics | None" = None
    """The running statistics of its batch norms; None where it has none."""


def start_distributed(device: str) -> None:
    """Let DeepSpeed use the process group that is there. Collective: every rank calls this.

    DeepSpeed 0.19.8 compiles a shared-memory extension here (35 s, g++) that only inference uses; a
    compile that was killed leaves a lock behind that hangs the next one. It is switched off.
    """
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # deepspeed 0.19.8 calls what torch 2.13 has given other names.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    deepspeed.init_distributed(dist_backend=backend, dist_init_required=False, verbose=False)


def refuse_no_offload_folder(zero: Zero) -> None:
    """Raise RecipeError where this node has no folder for what is offloaded; make one if it can."""
    if not zero.offloads_to_nvme or zero.nvme_path is None:
        return
    try:
        os.makedirs(zero.nvme_path, exist_ok=True)
        writable = os.access(zero.nvme_path, os.W_OK | os.X_OK)
        problem = None if writable else "may not be written"
    except FileExistsError:
        problem = "is no folder"
    except OSError as error:
        problem = f"cannot be made: {reason_of(error)}"
    if problem:
        raise RecipeError(
            f"zero.nvme_path ({zero.nvme_path}) {problem} on a node. Name a folder on a disk of "
            "every node"
        )


def running_stage(recipe: Recipe) -> int:
    """Give the ZeRO stage that runs: half precision keeps fp32 weights in ZeRO only."""
    return max(1, recipe.zero.stage) if recipe.precision != "fp32" else recipe.zero.stage


def deepspeed_config(recipe: Recipe, world_size: int, num_trainable: int) -> dict[str, Any]:
    """Write the DeepSpeed configuration of a recipe.

    `num_trainable` (elements) bounds the communication buffers: DeepSpeed allocates whole buckets.
    """
    stage = running_stage(recipe)
    # Parts of a microbatch are microbatches to DeepSpeed, which owns the accumulation.
    fed = recipe.batch.lanes * recipe.faults.feed_parts
    config: dict[str, Any] = {
        "train_batch_size": fed,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": fed // world_size,
        # Unwritten, gradient_clipping is 1.0. Stage 0 is clipped by step.py, which needs the norm.
        "gradient_clipping": clipping_norm(recipe.optimizer) if stage else 0.0,
        "zero_optimization": _zero_config(recipe.zero, stage, world_size, num_trainable),
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": None,
    }
    if recipe.precision == "bf16":
        config["bf16"] = {"enabled": True}
    if recipe.precision == "fp16":
        config["fp16"] = {"enabled": True}
    if recipe.precision != "fp32":
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return _laid_over(config, recipe.zero.overrides)


def clipping_norm(optimizer: Optimizer) -> float:
    """Give the norm to clip to; a huge one clips nothing but still measures the norm."""
    return optimizer.max_grad_norm or 1e30


def build_engine(
    model: nn.Module,
    recipe: Recipe,
    place: Place,
    groups: list[dict[str, Any]] | None = None,
    box: Box | None = None,
) -> Engine:
    """Wrap the trainable parameters of a model into an engine. Collective: every rank calls this.

    The parameters that learn must be marked before (`mark_trainable`), since what is switched on
    under a live engine gets no gradient. `groups` are their `parameter_groups`; None makes plain
    ones. `box` belongs to a prefix that was taken out.
    """
    trainable = sum(count_elements(p) for p in model.parameters() if p.requires_grad)
    groups = parameter_groups(model, recipe.optimizer) if groups is None else groups
    optimizer = build_optimizer(groups, recipe.optimizer)
    config = deepspeed_config(recipe, place.world_size, trainable)
    handle, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    if place.world_size == 1 and not running_stage(recipe):
        # Nothing to average with, but each step would copy all gradients to a buffer and back.
        handle.enable_backward_allreduce = False
    wrapped = handle.optimizer
    inner = wrapped.optimizer if running_stage(recipe) else wrapped
    return Engine(
        handle=handle,
        model=model,
        optimizer=inner,
        stage=running_stage(recipe),
        num_microbatches=recipe.batch.lanes * recipe.faults.feed_parts // place.world_size,
        num_parts=recipe.faults.feed_parts,
        max_grad_norm=clipping_norm(recipe.optimizer),
        box=box,
    )


def feed(
    engine: Engine, inputs: dict[str, torch.Tensor], recorded: torch.Tensor | None = None
) -> Any:
    """Run the model forward; `recorded` is what a prefix that was taken out gave for the inputs.

    Collective: every rank calls this.
    """
    device = engine.handle.device
    if engine.box is not None:
        assert recorded is not None, "a model without its prefix is fed a recording"
        engine.box.values = recorded.to(device)
    outputs = engine.handle(**placed(engine, inputs))
    beat()
    return outputs


def placed(engine: Engine, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Bring inputs to the model's device, pixels in the precision of its weights."""
    precision = next(p.dtype for p in engine.model.parameters() if p.is_floating_point())
    return {
        name: tensor.to(engine.handle.device, precision if tensor.is_floating_point() else None)
        for name, tensor in inputs.items()
    }


def build_optimizer(groups: list[dict[str, Any]], asked: Optimizer) -> torch.optim.Optimizer:
    """Build the torch optimizer; its fused kernels differ from the plain loop by rounding."""
    if asked.name == "sgd":
        return torch.optim.SGD(groups, lr=asked.learning_rate, momentum=asked.momentum, fused=True)
    kind = torch.optim.AdamW if asked.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=asked.learning_rate, betas=asked.betas, eps=asked.eps, fused=True)


def with_gradients(engine: Engine) -> list[nn.Parameter]:
    """Give the parameters that learn, with a gradient of 0 where they have none, as ZeRO takes it.

    So their moments exist, and go on, whether the rows of a step used them or not.
    """
    learning = [p for p in engine.model.parameters() if p.requires_grad]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return learning


def set_learning_rate(engine: Engine, rate: float) -> None:
    """Give every parameter group its share of this learning rate."""
    for group in engine.optimizer.param_groups:
        group["lr"] = rate * group["scale"]


@contextmanager
def gathered(engine_stage: int, parameter: nn.Parameter, *, write: bool = False) -> Iterator[None]:
    """See a whole parameter under ZeRO-3. Collective: every rank calls this.

    With `write`, what rank 0 puts into it holds on all ranks afterwards.
    """
    with deepspeed.zero.GatheredParameters(
        [parameter], modifier_rank=0 if write else None, enabled=engine_stage == 3
    ):
        yield


def _zero_config(zero: Zero, stage: int, world_size: int, num_trainable: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "stage": stage,
        "reduce_bucket_size": max(1, min(zero.reduce_bucket_elements, num_trainable)),
    }
    if stage in (1, 2):
        config["allgather_bucket_size"] = zero.gather_bucket_elements
        config["use_multi_rank_bucket_allreduce"] = world_size > FEW_RANKS
    if stage == 3:
        config["stage3_prefetch_bucket_size"] = min(zero.gather_bucket_elements, 50_000_000)
    for key, where in (
        ("offload_optimizer", zero.offload_optimizer),
        ("offload_param", zero.offload_parameters),
    ):
        if where != "none":
            folder = {"nvme_path": zero.nvme_path} if where == "nvme" else {}
            config[key] = {"device": where, **folder}
    return config


def _laid_over(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Lay raw overrides over a configuration, section by section."""
    merged = dict(config)
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _laid_over(merged[key], value)
        else:
            merged[key] = value
    return merged
