"""Compute the frozen prefix of a model once per row, and train on the recording from then on.

Decides whether that is exact and pays, records what is missing, proves the stand-in on the spot.
How a prefix is found and taken out stands in strategy/prefix.py, the files in data/recordings.py.
"""

import json
import os
import shutil
import socket
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import transformers

from configs.errors import RecipeError
from configs.records import Recorded
from configs.task_sections import writes_in_evaluation
from trainers.agreement import all_agree
from trainers.data.epoch_plan import plan_epochs
from trainers.data.lane_rows import OpenRecording
from trainers.data.recordings import (
    Recording,
    Shape,
    delete_others,
    lane_file,
    recordings_folder,
)
from trainers.data.store import SplitInfo, SplitName
from trainers.engine import feed
from trainers.prefix_probe import FORWARD_ERRORS, Probe, evaluating, feed_whole, look_at
from trainers.prefix_recording import Recorder
from trainers.storage import bytes_hash
from trainers.strategy.phases import learned, place_phases
from trainers.strategy.prefix import CannotRecordError, Capture, Prefix, find_prefix

if TYPE_CHECKING:
    from trainers.session import Session

WORTHWHILE_PASSES = 1.5
"""Recording costs one pass and some writing: what is read once is not worth it."""
CPU_TOKENS = 1024
"""More at once goes no faster on a processor, since its caches are full, and pads more."""
SPLITS: tuple[SplitName, ...] = ("train", "validation")


@dataclass(frozen=True)
class PrefixCache:
    """Recordings of a prefix that are there, whole, on this rank's node."""

    prefix: Prefix
    shape: Shape
    folder: Path
    probe: Probe
    opened: dict[Path, Recording] = field(default_factory=dict)
    """Recordings in use: another run may delete the oldest files, which leaves open ones alone."""

    def opener(self, split: SplitName) -> OpenRecording | None:
        """Give what opens the recording of a lane's rows; None for a split that has none."""
        if split not in SPLITS:
            return None

        def open_recording(first: int, stop: int) -> Recording:
            path = lane_file(self.folder, split, (first, stop))
            if path not in self.opened:
                self.opened[path] = Recording(path, first, self.shape)
            return self.opened[path]

        return open_recording


def open_cache(session: "Session", prefix: Prefix | None) -> PrefixCache | None:
    """Record what is missing of the longest frozen prefix; None where it is computed every time.

    Collective: every rank calls this, with the whole model in its engine. Raises RecipeError where
    `freezing.prefix_cache` is on and it cannot be.
    """
    recipe = session.recipe
    asked = recipe.freezing.prefix_cache
    # Writing text takes the whole model, packing joins rows, and a recording holds one text a row;
    # on is refused with the recipe.
    changes = recipe.augmentation.is_on or recipe.batch.packing
    several = recipe.task.kind == "sentence_embedding"
    if asked == "off" or changes or several or writes_in_evaluation(recipe.task):
        return None
    if prefix is None:
        _tell_none(session)
        return None
    if asked == "auto" and _passes(session, prefix) < WORTHWHILE_PASSES:
        return None
    try:
        if session.cursor.equal_lengths:
            raise CannotRecordError("it sees padding, so its rows are fed by their length")
        probe, shape = look_at(session, prefix)
        problem = _too_big(session, shape)
    except CannotRecordError as error:
        problem = f"the frozen prefix of this model cannot be recorded: {error}"
    if problem is not None:
        leave(session, problem)
        return None
    folder = recordings_folder() / _key(session, prefix, shape)
    cache = PrefixCache(prefix, shape, folder, probe)
    if not _record(session, cache):
        return None
    os.utime(folder)
    delete_others(folder, int(session.recipe.freezing.prefix_cache_gib * 2**30))
    return cache


def leave(session: "Session", problem: str) -> None:
    """Say why the prefix is computed; raises RecipeError where the recipe asks for a recording."""
    if session.recipe.freezing.prefix_cache == "on":
        raise RecipeError(f"freezing.prefix_cache is on but {problem}. Use auto")
    session.note(f"{problem}. It is computed in every epoch")


def _tell_none(session: "Session") -> None:
    """Say why there is no prefix to record, where that is not the recipe's doing."""
    if session.recipe.freezing.prefix_cache == "on":
        raise RecipeError(
            "freezing.prefix_cache is on but no block comes before all that learns. Use auto, "
            "or let neither the embeddings nor the first block learn"
        )
    if session.live.runs_out_of_order:
        leave(session, "the blocks of this model do not run one after another")


def prove(session: "Session", cache: PrefixCache) -> bool:
    """Say whether the model with the stand-in gives the bits that the whole model gave.

    Collective: every rank calls this.
    """
    try:
        with evaluating(session):
            outputs = feed(session.engine, cache.probe.inputs, cache.probe.given)
            logits = session.task.output_of(outputs).detach().cpu()
    except torch.OutOfMemoryError:
        raise
    except FORWARD_ERRORS:
        return all_agree(False)  # a block reads more than was recorded
    return all_agree(torch.equal(logits, cache.probe.logits))


def _passes(session: "Session", prefix: Prefix) -> float:
    """Count how often the training rows come up while just this prefix is frozen."""
    recipe, cursor = session.recipe, session.cursor
    steps = plan_epochs(recipe, session.manifest).lanes.steps_per_epoch
    bounds = place_phases(session.phases, steps, recipe.epochs * steps, cursor.phase_starts)
    total = min(recipe.epochs * steps, recipe.max_steps or recipe.epochs * steps)
    passes = 0
    for number in range(cursor.phase, len(bounds)):
        names = learned(session.phases, number)
        if find_prefix(session.model, prefix.layout, names) == prefix:
            passes += max(0, min(bounds[number].last, total) - max(bounds[number].first, 0))
    return passes / steps


def _too_big(session: "Session", shape: Shape) -> str | None:
    """Say what does not fit on a node's disk, if something does not. Collective."""
    splits = session.manifest.splits
    needed = sum(_num_bytes(shape, splits[name]) for name in SPLITS if name in splits)
    root = recordings_folder().parent
    mine = (
        socket.gethostname(),
        -(-needed // session.place.world_size),
        shutil.disk_usage(root).free,
    )
    everyone: list[tuple[str, int, int]] = [mine] * session.place.world_size
    dist.all_gather_object(everyone, mine)
    limit = int(session.recipe.freezing.prefix_cache_gib * 2**30)
    for node in sorted({node for node, _, _ in everyone}):
        wanted = sum(size for name, size, _ in everyone if name == node)
        free = min(free for name, _, free in everyone if name == node)
        if wanted > min(limit, free):
            what = (
                f"freezing.prefix_cache_gib is {session.recipe.freezing.prefix_cache_gib:g}"
                if limit <= free
                else f"{_gib(free)} are free on {node}"
            )
            return f"a recording of the frozen prefix takes {_gib(wanted)} a node but {what}"
    return None


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.3g} GiB"


def _key(session: "Session", prefix: Prefix, shape: Shape) -> str:
    """Name a recording after everything that it depends on. Collective."""
    recipe, names = session.recipe, tuple(f"{name}." for name in prefix.names)
    weights = {n: h for n, h in session.live.hashes.items() if n.startswith(names)}
    weights |= {
        name: bytes_hash(buffer.detach().cpu().contiguous().view(-1).numpy().tobytes())
        for name, buffer in session.model.named_buffers()
        if name.startswith(names) and buffer.dtype != torch.bfloat16
    }
    everyone: list[Any] = [weights] * session.place.world_size
    if session.engine.stage == 3:
        dist.all_gather_object(everyone, weights)
    told = {
        "weights": everyone if session.engine.stage == 3 else weights,
        "depth": prefix.depth,
        "shape": repr(shape),
        "data": session.manifest.fingerprint,
        "precision": recipe.precision,
        # Which rows are computed together and how they are padded moves the last bit.
        "batches": (
            recipe.batch.lanes,
            _tokens_at_once(session),
            recipe.pad_to_multiple_of,
        ),
        "device": session.place.device.split(":")[0],
        "config": session.model.config.to_diff_dict(),
        "versions": (torch.__version__, transformers.__version__),
    }
    return bytes_hash(json.dumps(told, sort_keys=True, default=str).encode())


def _tokens_at_once(session: "Session") -> int:
    """Give the most tokens of a recording's forward pass: no more than evaluation may need."""
    longest = max(session.manifest.splits["train"].lengths)
    most = session.recipe.batch.eval_microbatch_size * max(1, longest)
    return most if session.place.device.startswith("cuda") else min(most, CPU_TOKENS)


def _record(session: "Session", cache: PrefixCache) -> bool:
    """Record what is missing; False, with one warning, where a disk did not take it. Collective."""
    started, recipe, missing = time.monotonic(), session.recipe, 0
    names = [name for name in SPLITS if name in session.manifest.splits]
    capture = Capture(session.model, cache.prefix, stop=session.engine.stage != 3)
    run, most_tokens = partial(feed_whole, session), _tokens_at_once(session)
    recorder = Recorder(capture, run, session.collate(), cache.shape, most_tokens)
    try:
        with evaluating(session):
            for name in names:
                split, num_lanes = session.open_split(name), recipe.batch.lanes
                lanes = range(session.place.rank, num_lanes, session.place.world_size)
                missing += recorder.record(cache.folder, name, split, lanes, num_lanes)
    finally:
        capture.close()
    problems = [recorder.problem] * session.place.world_size
    dist.all_gather_object(problems, recorder.problem)
    found = next(filter(None, problems), None)
    if found is not None:
        session.note(
            f"the frozen prefix could not be recorded ({found}): it is computed in every epoch",
            level="warning",
        )
        return False
    splits = session.manifest.splits
    session.report(
        Recorded(
            time=time.time(),
            step=session.cursor.step,
            blocks=cache.prefix.depth,
            num_blocks=cache.prefix.layout.num_blocks,
            rows=sum(splits[name].rows for name in names),
            num_bytes=sum(_num_bytes(cache.shape, splits[name]) for name in names),
            seconds=time.monotonic() - started,
            cached=not missing,
        )
    )
    return True


def _num_bytes(shape: Shape, info: SplitInfo) -> int:
    return shape.num_bytes(info.rows, sum(n * count for n, count in info.lengths.items()))
