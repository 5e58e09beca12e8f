"""Find what of a model runs before anything that learns, and put a recording in its place.

Found by watching one forward pass, never by the model's name. What is recorded for which rows, and
where it is kept, others say.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import nn

from configs.errors import RecipeError
from trainers.strategy.freezing import find_blocks, has_encoder_and_decoder

Kept = Literal["all", "first", "last"]
"""Which tokens of a row the model reads behind the prefix; `last` leaves padding out."""
SETTINGS = (str, int, float, bool)


@dataclass(frozen=True)
class Layout:
    """In which order a model's modules run."""

    list_name: str
    num_blocks: int
    ran: dict[str, int]
    """Modules that ran as a whole, without those inside them, and how many blocks had begun."""
    parts: int
    """Entries of the tuple that a block gives; 0 where it gives its output bare."""

    def names_below(self, depth: int) -> list[str]:
        """Name the modules that had run when block `depth` began, or when the last one ended."""
        blocks = {f"{self.list_name}.{index}" for index in range(self.num_blocks)}
        last = self.num_blocks
        return [
            name
            for name, begun in self.ran.items()
            if begun <= depth and (name in blocks or begun < last)
        ]


@dataclass(frozen=True)
class Prefix:
    """The frozen part of a model that runs before block `depth`."""

    layout: Layout
    depth: int
    """Blocks of it; as many as there are when none learns."""

    @property
    def names(self) -> list[str]:
        """Names of its modules."""
        return self.layout.names_below(self.depth)


@dataclass
class Box:
    """Hands the recording of a microbatch to the modules that stand for the prefix."""

    values: torch.Tensor | None = None


class Recall(nn.Module):
    """Gives the recording back, whatever it is fed."""

    def __init__(self, box: Box, stood_for: nn.Module, *, parts: int) -> None:
        super().__init__()
        self._box = box
        self._parts = parts
        # Models read small things off what was here: ModernBERT the attention_type of its blocks,
        # ViT the type of the weights in its embeddings.
        self._outline = vars(_outline(stood_for))

    def __getattr__(self, name: str) -> Any:
        """Give what stands for a part or a setting of the module that was here."""
        outline = self.__dict__.get("_outline", {})
        return outline[name] if name in outline else super().__getattr__(name)

    def forward(self, *_: Any, **__: Any) -> Any:
        """Give the recording, (rows, tokens, width) for text."""
        assert self._box.values is not None, "a recording is put in before the model runs"
        values, others = self._box.values, (None,) * (self._parts - 1)
        return (values, *others) if self._parts else values


@dataclass
class _Watch:
    """What has been seen of a forward pass."""

    blocks: dict[nn.Module, int]
    begun: list[int] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)
    parts: int = 0


def find_layout(model: nn.Module, feed: Callable[[], Any]) -> Layout | None:
    """Watch one forward pass, which `feed` makes. None where blocks do not run one after another.

    Nor is there any for an encoder with a decoder, whose blocks read more than one recording holds.
    Collective where the forward pass is.
    """
    if has_encoder_and_decoder(model):
        return None
    try:
        list_name, blocks = find_blocks(model)
    except RecipeError:
        return None
    watch = _Watch({block: index for index, block in enumerate(blocks)})
    handles = []
    for name, module in model.named_modules():
        if module in watch.blocks:
            handles.append(module.register_forward_pre_hook(_note_beginning(watch)))
        handles.append(module.register_forward_hook(_note_end(watch, name)))
    try:
        feed()
    finally:
        for handle in handles:
            handle.remove()
    if watch.begun != list(range(len(blocks))):
        return None
    # Later ends win: what runs twice is over when it ran last. What holds the blocks never was.
    ended = {
        name: begun
        for name, begun in dict(watch.ended).items()
        if name and not list_name.startswith(f"{name}.")
    }
    inside = {n for n in ended if any(n.startswith(f"{other}.") for other in ended)}
    whole = {name: begun for name, begun in ended.items() if name not in inside}
    return Layout(list_name, len(blocks), whole, watch.parts)


def find_prefix(model: nn.Module, layout: Layout, learning: Collection[str]) -> Prefix | None:
    """Find the longest prefix without a parameter that learns, or None.

    `learning` names what learns or has learned. Tied weights count where they are used first.
    """
    ids = {id(p) for n, p in model.named_parameters(remove_duplicate=False) if n in learning}
    for depth in range(layout.num_blocks, 0, -1):
        prefix = Prefix(layout, depth)
        within = [p for n in prefix.names for p in model.get_submodule(n).parameters()]
        if not ids & {id(p) for p in [*within, *_parameters_around(model, layout)]}:
            return prefix
    return None


def rest(model: nn.Module, prefix: Prefix) -> None:
    """Let the prefix run as in evaluation, without dropout, also while the model trains."""
    for name in prefix.names:
        model.get_submodule(name).eval()


class Capture:
    """Takes what the prefix gives in forward passes; close it to let the model go on."""

    def __init__(self, model: nn.Module, prefix: Prefix, *, stop: bool) -> None:
        """With `stop` a forward pass ends with the prefix: use it through `run`."""
        self.values: torch.Tensor | None = None
        self._stop = stop
        layout = prefix.layout
        last = prefix.depth == layout.num_blocks
        block = model.get_submodule(f"{layout.list_name}.{prefix.depth - last}")
        self._handle = (
            block.register_forward_hook(self._take_output)
            if last
            else block.register_forward_pre_hook(self._take_input, with_kwargs=True)
        )

    def run(self, feed: Callable[[], Any]) -> torch.Tensor:
        """Give what the prefix gives in the forward pass that `feed` makes.

        Raises CannotRecordError where that is no tensor.
        """
        with suppress(_PrefixIsOverError):
            feed()
        values, self.values = self.values, None
        if values is None:
            raise CannotRecordError("its blocks do not hand on one tensor")
        return values

    def close(self) -> None:
        """Stop watching."""
        self._handle.remove()

    def _take_input(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._take(args[0] if args else kwargs.get("hidden_states"))

    def _take_output(self, _: nn.Module, __: Any, output: Any) -> None:
        self._take(output[0] if isinstance(output, tuple) else output)

    def _take(self, values: Any) -> None:
        self.values = values.detach() if torch.is_tensor(values) else None
        if self._stop:
            raise _PrefixIsOverError


class CannotRecordError(Exception):
    """What a prefix gives is nothing that can be kept for each row."""


class _PrefixIsOverError(Exception):
    """Ends a forward pass whose rest is not needed."""


@dataclass
class Standin:
    """A prefix that has been taken out of its model."""

    model: nn.Module
    box: Box
    parked: dict[str, nn.Module]
    """What was taken out, by its name in the model; on the host."""
    device: torch.device

    def put_back(self) -> None:
        """Put the prefix back into the model, on its device."""
        for name, module in self.parked.items():
            _move(module, self.device)
            self.model.set_submodule(name, module)


def take_out(
    model: nn.Module, prefix: Prefix, device: torch.device, keep: Collection[str] = ()
) -> Standin:
    """Put a recording in the place of every module of the prefix that holds weights.

    Those to `keep` go on computing.
    """
    box = Box()
    parked = {}
    for name in prefix.names:
        module = model.get_submodule(name)
        if next(module.parameters(), None) is None or name in keep:
            continue
        is_block = name.startswith(f"{prefix.layout.list_name}.")
        parts = prefix.layout.parts if is_block else 0
        model.set_submodule(name, Recall(box, module, parts=parts))
        parked[name] = module
        _move(module, torch.device("cpu"))
    return Standin(model, box, parked, device)


def _move(module: nn.Module, device: torch.device) -> None:
    module.to(device)
    for parameter in module.parameters():
        if hasattr(parameter, "ds_tensor"):
            # Under ZeRO-3 the parameter is empty and the rank's slice lies beside it.
            parameter.ds_tensor.data = parameter.ds_tensor.data.to(device)


def _outline(module: nn.Module) -> SimpleNamespace:
    """Keep names, settings and types of a module, without a weight."""
    settings = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, SETTINGS) and name != "training" and not name.startswith("_")
    }
    parts = {name: _outline(part) for name, part in module.named_children()}
    weights = {
        name: torch.empty(0, dtype=parameter.dtype)
        for name, parameter in module.named_parameters(recurse=False)
    }
    return SimpleNamespace(**settings, **parts, **weights)


def _parameters_around(model: nn.Module, layout: Layout) -> list[nn.Parameter]:
    """Give parameters of modules that run around the blocks: they may be used before them."""
    parts = layout.list_name.split(".")
    around = [model.get_submodule(".".join(parts[:count])) for count in range(len(parts))]
    return [p for module in around for p in module.parameters(recurse=False)]


def _note_beginning(watch: _Watch) -> Callable[..., None]:
    def note(module: nn.Module, _: Any) -> None:
        watch.begun.append(watch.blocks[module])

    return note


def _note_end(watch: _Watch, name: str) -> Callable[..., None]:
    def note(module: nn.Module, _: Any, output: Any) -> None:
        watch.ended.append((name, len(watch.begun)))
        if module in watch.blocks:
            watch.parts = len(output) if isinstance(output, tuple) else 0

    return note
