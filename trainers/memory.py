"""Recognise that memory ran out, and say what a rank needs; what is done about it is the driver's.

The estimate counts what is there between two microbatches; what feeding one takes comes on top.
"""

import re

import torch

from configs.errors import TrainingError
from trainers.engine import Engine
from trainers.partitions import moment_keys
from trainers.strategy.freezing import count_elements

GIB = 2**30
TEXTS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory"
    r"|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)
SHORT = "ran out of memory"
"""Words by which the driver knows the error."""


def is_shortage(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, of a device or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and bool(TEXTS.search(str(error)))


def shortage(error: BaseException, engine: Engine, rank: int, world_size: int) -> TrainingError:
    """Say which rank was short, and of how much the state takes its part."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = lines[0][:300] if lines else type(error).__name__
    gib = state_bytes(engine, world_size) / GIB
    return TrainingError(
        f"rank {rank} {SHORT} ({words}). By estimate weights, gradients and moments take "
        f"{gib:.2f} GiB of it. Use a smaller batch.microbatch_size with more batch.lanes, "
        "activation_checkpointing, or a higher zero.stage with more workers"
    )


def state_bytes(engine: Engine, world_size: int) -> int:
    """Estimate the bytes that weights, gradients and moments take on one rank.

    Sizes are those of ZeRO (Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054), with
    gradients, moments and the weights that the optimizer moves in fp32.
    """
    whole = learns = 0
    for parameter in engine.model.parameters():
        elements = count_elements(parameter)
        whole += elements * parameter.element_size()
        learns += elements * parameter.requires_grad
    stage = engine.stage
    weights = whole // world_size if stage == 3 else whole
    gradients = 4 * learns // (world_size if stage >= 2 else 1)
    # Where ZeRO runs, the optimizer moves a copy of its own.
    moved = 4 * learns * (len(moment_keys(engine)) + (stage > 0))
    return weights + gradients + moved // (world_size if stage else 1)
