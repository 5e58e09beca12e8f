"""Resolve a recipe's freezing into phases: what learns, from which step to which.

Pure, so that all ranks agree. How the engine goes from one to the next stands in phase_change.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from configs.errors import RecipeError
from configs.freezing_sections import Freezing, Learning, Stall
from trainers.strategy.adapters import adapter_names, adapter_part
from trainers.strategy.freezing import (
    bias_names,
    choose_trainable,
    find_blocks,
    norm_names,
)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trainable parameters, before its place is known."""

    name: str
    trainable: frozenset[str]
    epochs: int | None = None
    """Epochs it takes at most; None with `steps`, or where it takes what is left."""
    steps: int | None = None
    """Optimizer steps it takes."""
    until_stall: Stall | None = None
    """When it ends before."""
    late: frozenset[str] = frozenset()
    """What of it has no gradient in the first step: an adapter's A, until B is no longer 0."""


@dataclass(frozen=True)
class Bounds:
    """Where a phase lies in the run, in optimizer steps."""

    first: int
    """Steps done when it begins."""
    last: int
    """Steps done when it ends, at the latest."""


def choose_phases(
    model: nn.Module, freezing: Freezing, head: frozenset[str], epochs: int
) -> tuple[Phase, ...]:
    """Name what learns in each phase; `head` names the parameters of the head.

    Gradual unfreezing is that of Howard and Ruder 2018 (ULMFiT), the head before everything that of
    Kumar et al. 2022 (LP-FT), biases alone that of Ben Zaken et al. 2022 (BitFit). Raises
    RecipeError for what this model does not have and for a phase that unfreezes nothing new.

    Must see the model as it was loaded: what it does not let learn itself, such as the positions
    that Marian computes, never does. Such a table has no gradient, but a weight decay would move
    it.
    """
    if freezing.lora is not None:
        adapters = adapter_names(model)
        late = frozenset(name for name in adapters if adapter_part(name) == "lora_A")
        return (Phase(freezing.lora.title, adapters | head, late=late),)
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    phases = _choose_phases(model, freezing, head, epochs)
    return tuple(replace(phase, trainable=phase.trainable - fixed) for phase in phases)


def _choose_phases(
    model: nn.Module, freezing: Freezing, head: frozenset[str], epochs: int
) -> tuple[Phase, ...]:
    if freezing.preset in ("bitfit", "norm_only"):
        return (_of_one_kind(model, freezing.preset, head),)
    if freezing.gradual:
        phases = _gradual(model, freezing, head, epochs)
    elif freezing.preset == "lp_ft":
        everything = Learning(embeddings=freezing.embeddings)
        phases = (
            Phase("head", choose_trainable(model, Learning(mode="head"), head), epochs // 2),
            Phase("all", choose_trainable(model, everything, head)),
        )
    elif freezing.schedule:
        phases = tuple(
            Phase(
                _name(plan.learn),
                choose_trainable(model, plan.learn, head),
                plan.max_epochs,
                plan.steps,
                plan.until_stall,
            )
            for plan in freezing.schedule
        )
    else:
        return (Phase(freezing.mode, choose_trainable(model, freezing.learning, head)),)
    _refuse_idle(phases)
    return phases


def place_phases(
    phases: Sequence[Phase], steps_per_epoch: int, total_steps: int, begun: Sequence[int] = (0,)
) -> tuple[Bounds, ...]:
    """Place phases on the steps of a run of `total_steps`, of which `begun` names first ones.

    Where a phase ended before its time (`begun`), what follows moves forward and the last one takes
    what is left. Raises RecipeError when the phases do not fill the run, or leave no step to one.
    """
    bounds, at = [], 0
    for index, phase in enumerate(phases):
        first = begun[index] if index < len(begun) else at
        if first >= total_steps:
            raise RecipeError(
                f"phase {index + 1} of {len(phases)} ({phase.name}) would begin after step {first} "
                f"but the run has {total_steps} steps. Use more epochs or shorter phases"
            )
        at = total_steps
        if phase.steps is not None or phase.epochs is not None:
            at = first + (phase.steps or (phase.epochs or 0) * steps_per_epoch)
        if index + 1 < len(begun):
            at = begun[index + 1]
        bounds.append(Bounds(first, at))
    if at != total_steps:
        raise RecipeError(
            f"the phases end after step {at} but the run has {total_steps} steps. Leave the length "
            "of the last phase out, so that it takes the rest"
        )
    return tuple(bounds)


def cut_bounds(bounds: Sequence[Bounds], max_steps: int) -> tuple[Bounds, ...]:
    """Cut phases off where the run ends early; those that would begin later are left out."""
    kept = [b for b in bounds if b.first < max_steps]
    return tuple(Bounds(b.first, min(b.last, max_steps)) for b in kept)


def births(phases: Sequence[Phase], current: int, begun: Sequence[int]) -> dict[str, int]:
    """Give for each parameter that learns in phase `current` the steps done when that began.

    A parameter that was frozen in between begins anew.
    """
    born = {}
    for name in phases[current].trainable:
        index = current
        while index and name in phases[index - 1].trainable:
            index -= 1
        born[name] = begun[index]
    return born


def learned(phases: Sequence[Phase], current: int) -> frozenset[str]:
    """Name what learns in phase `current` or learned before it."""
    return frozenset().union(*(phase.trainable for phase in phases[: current + 1]))


def _of_one_kind(model: nn.Module, preset: str, head: frozenset[str]) -> Phase:
    """Let the head learn, with all biases or all normalisation weights."""
    found = bias_names(model) if preset == "bitfit" else norm_names(model)
    if not found - head:
        raise RecipeError(
            f"freezing.preset {preset} finds none in this model outside its head. "
            "Use head, or freezing.train with regular expressions"
        )
    return Phase(preset, found | head)


def _gradual(
    model: nn.Module, freezing: Freezing, head: frozenset[str], epochs: int
) -> tuple[Phase, ...]:
    """Write the list of gradual unfreezing from the model's block list."""
    list_name, blocks = find_blocks(model, "freezing.gradual")
    if epochs <= len(blocks):
        raise RecipeError(
            f"freezing.gradual unfreezes the {len(blocks)} blocks of {list_name} one epoch after "
            f"the other behind the head but epochs is {epochs}. Use epochs {len(blocks) + 1} or "
            "more, or freezing.schedule"
        )
    plans = [Learning(mode="head")]
    plans += [Learning(mode="partial", last=n) for n in range(1, len(blocks))]
    phases = [Phase(_name(p), choose_trainable(model, p, head), 1) for p in plans]
    everything = Learning(embeddings=freezing.embeddings)
    return (*phases, Phase(_name(everything), choose_trainable(model, everything, head)))


def _refuse_idle(phases: Sequence[Phase]) -> None:
    for index in range(1, len(phases)):
        if not phases[index].trainable - phases[index - 1].trainable:
            raise RecipeError(
                f"phase {index + 1} ({phases[index].name}) unfreezes nothing that phase {index} "
                f"({phases[index - 1].name}) did not have. Take it out, or name more in it"
            )


def _name(learn: Learning) -> str:
    if learn.mode != "partial":
        return "head" if learn.mode == "head" else "all"
    named = []
    if learn.last is not None:
        named.append("last block" if learn.last == 1 else f"last {learn.last} blocks")
    named += learn.train
    named += ["embeddings"] if learn.embeddings else []
    return ", ".join(named)
