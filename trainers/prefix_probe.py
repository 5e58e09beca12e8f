"""Feed a few rows to the whole model, to see what a recording of its prefix must hold.

What is done with the answer stands in prefix_cache.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from trainers.agreement import all_agree
from trainers.data.batches import fed_width
from trainers.data.recordings import Shape, Sizes
from trainers.engine import placed
from trainers.strategy.prefix import CannotRecordError, Capture, Kept, Prefix

if TYPE_CHECKING:
    from trainers.session import Session

FORWARD_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a model's own code raises for what it cannot compute with."""
PROBED_ROWS = 4
LOOKED_AT = 64
"""Rows among which those of unlike length are chosen."""


@dataclass(frozen=True)
class Probe:
    """What the whole model made of a few rows, the same on every rank."""

    inputs: dict[str, torch.Tensor]
    lengths: Sizes
    given: torch.Tensor
    """What the prefix gave, as far as it is kept; padded as a recording is."""
    logits: torch.Tensor
    others: frozenset[str]
    """Modules of the prefix, not its blocks, that give something of another shape."""


def look_at(session: "Session", prefix: Prefix) -> tuple[Probe, Shape]:
    """Look at a few rows of unlike length: what the prefix gives, and what is read of it behind.

    Raises CannotRecordError where what it gives is nothing that can be kept for each row.
    Collective: every rank calls this, with the whole model in its engine.
    """
    split = session.open_split("train")
    looked_at = split.read(np.arange(min(LOOKED_AT, split.info.rows)))
    rows = looked_at.take(unlike(looked_at["length"].to_numpy(), PROBED_ROWS))
    inputs, _ = session.collate()(rows)
    if fed_width(inputs) == len(rows):
        rows = rows.slice(1)  # else an axis of tokens looks like one of rows
        inputs, _ = session.collate()(rows)
    lengths = rows["length"].to_numpy()
    whole = partial(feed_whole, session, inputs)
    with evaluating(session), _watching(session.model, prefix) as shapes:
        values = _capture(session, prefix, whole)
        logits = session.task.output_of(whole()).detach().cpu()
    by_token = _has_tokens(session, prefix, rows, (values, inputs))
    tail = tuple(values.shape[2:] if by_token else values.shape[1:])
    kept: Kept = "all"
    if by_token and prefix.depth == prefix.layout.num_blocks:
        kept = _find_kept(session, prefix, inputs, (values, lengths, logits))
    shape = Shape(kept, by_token, tail, values.dtype)
    given = _as_kept(values, lengths, shape)
    others = frozenset(name for name, found in shapes.items() if found != values.shape)
    return Probe(inputs, lengths, given.cpu(), logits, others), shape


def unlike(lengths: Sizes, most: int) -> list[int]:
    """Choose rows from the shortest to the longest."""
    order = np.argsort(lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)
    return [int(row) for row in order[places]]


def _capture(session: "Session", prefix: Prefix, feed: Callable[[], Any]) -> torch.Tensor:
    """Give what the prefix gives in a forward pass."""
    capture = Capture(session.model, prefix, stop=False)
    try:
        return capture.run(feed)
    finally:
        capture.close()


def _has_tokens(
    session: "Session",
    prefix: Prefix,
    rows: pa.Table,
    found: tuple[torch.Tensor, dict[str, torch.Tensor]],
) -> bool:
    """Say whether the second axis counts tokens; raises CannotRecordError where none can be told.

    The shortest row is fed alone, too: where a model pads inside, its width tells nothing.
    """
    values, inputs = found
    tokens = inputs.get("input_ids")
    if values.dim() < 2 or len(values) != len(rows):
        raise CannotRecordError("what its blocks hand on does not begin with an axis of rows")
    if tokens is None or values.dim() == 2:
        return False
    alone, _ = session.collate()(rows.slice(0, 1))
    with evaluating(session):
        one = _capture(session, prefix, partial(feed_whole, session, alone))
    if values.shape[1] != tokens.shape[1] or one.shape[1] != alone["input_ids"].shape[1]:
        raise CannotRecordError("what its blocks hand on has not one vector for each token")
    return True


@contextmanager
def _watching(model: nn.Module, prefix: Prefix) -> Iterator[dict[str, torch.Size]]:
    """Note the shapes of what the modules of a prefix give, blocks left aside."""
    shapes: dict[str, torch.Size] = {}

    def note(name: str, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        shapes[name] = first.shape if torch.is_tensor(first) else torch.Size()

    blocks = f"{prefix.layout.list_name}."
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: note(name, output)
        )
        for name in prefix.names
        if not name.startswith(blocks)
    ]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def _find_kept(
    session: "Session",
    prefix: Prefix,
    inputs: dict[str, torch.Tensor],
    found: tuple[torch.Tensor, Any, torch.Tensor],
) -> Kept:
    """Find out whether one token of a row says all that the rest of the model wants to know."""
    values, lengths, logits = found
    layout = prefix.layout
    block = session.model.get_submodule(f"{layout.list_name}.{layout.num_blocks - 1}")
    choices: tuple[Kept, ...] = ("first", "last")
    for kept in choices:
        shape = Shape(kept, True, tuple(values.shape[2:]), values.dtype)
        alone = _as_kept(values, lengths, shape)
        with evaluating(session), _giving(block, alone):
            answer = session.task.output_of(feed_whole(session, inputs)).detach().cpu()
        if all_agree(torch.equal(answer, logits)):
            return kept
    return "all"


def _as_kept(values: torch.Tensor, lengths: Any, shape: Shape) -> torch.Tensor:
    """Put 0 in the place of what is not kept, and of padding."""
    if not shape.by_token:
        return values
    starts = torch.tensor(np.asarray(shape.starts(lengths)), device=values.device)
    counts = torch.tensor(np.asarray(shape.counts(lengths)), device=values.device)
    places = torch.arange(values.shape[1], device=values.device)
    mask = (places >= starts[:, None]) & (places < (starts + counts)[:, None])
    return values * mask.reshape(*mask.shape, *[1] * (values.dim() - 2)).to(values.dtype)


def feed_whole(session: "Session", inputs: dict[str, torch.Tensor]) -> Any:
    """Run the whole model forward. Collective under ZeRO-3: every rank calls this."""
    engine = session.engine.handle
    # The bare model may be left in the middle of a forward pass; ZeRO-3 needs the engine's hooks.
    run = engine if session.engine.stage == 3 else session.model
    return run(**placed(session.engine, inputs))


@contextmanager
def evaluating(session: "Session") -> Iterator[None]:
    """Let the model neither drop out nor keep what a backward pass needs."""
    session.engine.handle.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        session.live.train()


@contextmanager
def _giving(block: nn.Module, values: torch.Tensor) -> Iterator[None]:
    """Let a block give these values."""

    def replace(_: nn.Module, __: Any, output: Any) -> Any:
        return (values, *output[1:]) if isinstance(output, tuple) else values

    handle = block.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
