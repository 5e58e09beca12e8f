"""Feed a few rows to the whole model, to see what a recording of its prefix must hold.

What is done with the answer stands in prefix_cache.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.agreement import all_agree
from trainers.data.recordings import Shape, Sizes
from trainers.engine import placed
from trainers.strategy.prefix import Capture, Kept, Prefix

if TYPE_CHECKING:
    from trainers.session import Session

PROBED_ROWS = 4


@dataclass(frozen=True)
class Probe:
    """What the whole model made of a few rows, the same on every rank."""

    inputs: dict[str, torch.Tensor]
    lengths: Sizes
    given: torch.Tensor
    """What the prefix gave, as far as it is kept; padded as a recording is."""
    logits: torch.Tensor


def look_at(session: "Session", prefix: Prefix) -> tuple[Probe, Shape]:
    """Look at a few rows: what the prefix gives, and which of it the model reads behind it.

    Collective: every rank calls this, with the whole model in its engine.
    """
    split = session.open_split("train")
    rows = split.read(np.arange(min(PROBED_ROWS, split.info.rows)))
    inputs, _ = session.collate()(rows)
    lengths = rows["length"].to_numpy()
    capture = Capture(session.model, prefix, stop=False)
    whole = partial(feed_whole, session, inputs)
    with evaluating(session):
        values = capture.run(whole)
        capture.close()
        logits = session.task.output_of(whole()).detach().cpu()
    tokens = inputs.get("input_ids")
    by_token = tokens is not None and values.dim() > 2 and values.shape[1] == tokens.shape[1]
    tail = tuple(values.shape[2:] if by_token else values.shape[1:])
    kept: Kept = "all"
    if by_token and prefix.depth == prefix.layout.num_blocks:
        kept = _find_kept(session, prefix, inputs, (values, lengths, logits))
    shape = Shape(kept, by_token, tail, values.dtype)
    given = _as_kept(values, lengths, shape)
    return Probe(inputs, lengths, given.cpu(), logits), shape


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
