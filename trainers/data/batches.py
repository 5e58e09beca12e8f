"""Tensors for a rank's lanes, step by step, made ahead by a thread; which rows stands in lanes.py.

A window's rows are read at once, in the order of its microbatches, so that a microbatch is a slice:
no Python object per row.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import torch

from configs.schema import Recipe
from trainers.data.image_mixing import Mix, Mixed
from trainers.data.lane_rows import LaneRows
from trainers.data.lanes import LanePlan
from trainers.data.store import ROW_ID, SOURCE, Manifest
from trainers.tasks.judging import IGNORED, Batching, count_targets
from trainers.tasks.padded_groups import Made, Padding

MOST_AT_ONCE = 64
BYTES_AT_ONCE = 2**22

Collate = Callable[[pa.Table], tuple[dict[str, torch.Tensor], torch.Tensor]]
"""Turns shard rows into model inputs, each (rows, tokens, ...), and labels (rows, ...)."""
Change = Callable[[pa.Table, int], pa.Table]
"""Turns shard rows into as many others with the same columns, given the epoch."""


@dataclass(frozen=True)
class Microbatch:
    """What one lane feeds at one step; without rows it carries one dummy row of no target."""

    lane: int
    epoch: int
    step: int
    """Step in the epoch."""
    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    row_ids: np.ndarray[tuple[int], np.dtype[np.uint64]]
    """Low halves of the row ids."""
    numbers: np.ndarray[tuple[int], np.dtype[np.int64]]
    """The plan's numbers of the rows: their places in the split, where none are drawn."""
    sources: np.ndarray[tuple[int], np.dtype[np.int16]]
    """Place of each row's source among the manifest's."""
    num_rows: int
    num_targets: int
    """Labels that count in the loss."""
    num_tokens: int
    """Tokens of the rows, padding not counted."""
    num_fed_tokens: int
    """Tokens fed forward, padding and dummy rows counted."""
    recorded: torch.Tensor | None = None
    """What the frozen prefix of the model gives for the rows, (rows, tokens, ...) for text."""
    mixed: Mixed | None = None
    """Further labels of rows that were mixed with others."""


class StepReader:
    """The steps of one epoch for one rank; close it to end its thread.

    Yields for each step the microbatches of the rank's lanes, in the order of the lanes. What goes
    wrong in the thread is raised to the reader.
    """

    def __init__(self, steps: Iterator[list[Microbatch]], prefetch: int) -> None:
        self.seconds_waited = 0.0
        """Seconds that the reader has waited for steps so far."""
        self._steps = steps
        self._prefetch = prefetch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ready: deque[list[Microbatch]] = deque()
        self._ahead: deque[Future[list[list[Microbatch]]]] = deque()
        self._handed_over = 1
        self._order_ahead()

    def __iter__(self) -> Self:
        """Give the reader itself: its steps can be read once."""
        return self

    def __next__(self) -> list[Microbatch]:
        """Give the next step, waiting for the thread where it is not ahead."""
        if not self._ready:
            if not self._ahead:
                raise StopIteration
            started = time.perf_counter()
            self._ready.extend(self._ahead.popleft().result())
            self.seconds_waited += time.perf_counter() - started
            if not self._ready:
                self.close()
                raise StopIteration
            self._order_ahead()
        return self._ready.popleft()

    def __enter__(self) -> Self:
        """Give the reader itself, closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the reader."""
        self.close()

    def close(self) -> None:
        """End the thread and forget what it made ahead; closing twice is fine."""
        self._ready.clear()
        self._ahead.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _order_ahead(self) -> None:
        while len(self._ahead) < self._prefetch:
            self._ahead.append(self._thread.submit(self._make, self._handed_over))
            # Handing a step to another thread costs more than making a small one. The first comes
            # alone, so that nobody waits for others.
            self._handed_over = min(2 * self._handed_over, MOST_AT_ONCE)

    def _make(self, count: int) -> list[list[Microbatch]]:
        """Make so many steps, or fewer large ones; none at the end."""
        made: list[list[Microbatch]] = []
        num_bytes = 0
        while len(made) < count and num_bytes < BYTES_AT_ONCE:
            step = next(self._steps, None)
            if step is None:
                break
            made.append(step)
            num_bytes += sum(_num_bytes(microbatch) for microbatch in step)
        return made


def _num_bytes(microbatch: Microbatch) -> int:
    recorded = microbatch.recorded.nbytes if microbatch.recorded is not None else 0
    return recorded + sum(tensor.nbytes for tensor in microbatch.inputs.values())


def read_steps(
    lanes: Sequence[LaneRows],
    plan: LanePlan,
    collate: Collate,
    *,
    epoch: int,
    start_step: int = 0,
    change: Change | None = None,
    mix: Mix | None = None,
    left_out: Collection[tuple[int, int]] = (),
    prefetch: int = 2,
) -> StepReader:
    """Read an epoch's steps from `start_step` on, for the lanes that were opened for this rank.

    `change` may put other rows in the place of those read, `mix` blend those of a microbatch.
    Microbatches `left_out`, by (step, lane), are given without their rows. A thread keeps
    `prefetch` steps ready, small ones several at a time.
    Raises DataError, at the step concerned, for a damaged shard.
    """
    assert prefetch >= 1, "at least one step is made ahead"
    start = (epoch, start_step)
    tensors = _Tensors(collate, mix)
    streams = [_read_lane(lane, plan, tensors, start, change) for lane in lanes]
    if left_out:
        streams = [
            _leaving_out(stream, lane, tensors, left_out)
            for stream, lane in zip(streams, lanes, strict=True)
        ]
    return StepReader(map(list, zip(*streams, strict=True)), prefetch)


def _read_lane(
    lane: LaneRows,
    plan: LanePlan,
    tensors: "_Tensors",
    start: tuple[int, int],
    change: Change | None,
) -> Iterator[Microbatch]:
    """Yield a lane's microbatches from an epoch and step on."""
    epoch, start_step = start
    for window in plan.windows(epoch, lane.lane, lane.lengths, start_step):
        first = int(window.bounds[0])
        rows = lane.read(window.rows[first:])
        if change is not None and rows.num_rows:
            rows = change(rows, epoch)
        row_ids, lengths = rows[ROW_ID].to_numpy(), rows["length"].to_numpy()
        sources = _sources(rows)
        tokens = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).tolist()
        bounds = window.bounds - first
        made = tensors.of(rows, bounds, lane)
        steps = enumerate(pairwise(bounds.tolist()), max(start_step, window.first_step))
        for (step, (begin, end)), (inputs, labels, num_targets) in zip(steps, made, strict=True):
            numbers = window.rows[first + begin : first + end]
            width = fed_width(inputs)
            inputs, mixed = tensors.mixed(inputs, labels, row_ids[begin:end], epoch)
            yield Microbatch(
                lane=lane.lane,
                epoch=epoch,
                step=step,
                inputs=inputs,
                labels=labels,
                row_ids=row_ids[begin:end],
                numbers=numbers,
                sources=sources[begin:end],
                num_rows=end - begin,
                num_targets=num_targets,
                num_tokens=tokens[end] - tokens[begin],
                num_fed_tokens=len(next(iter(inputs.values()))) * width,
                recorded=lane.recorded(numbers, lengths[begin:end], width),
                mixed=mixed,
            )


def _leaving_out(
    stream: Iterator[Microbatch],
    lane: LaneRows,
    tensors: "_Tensors",
    left_out: Collection[tuple[int, int]],
) -> Iterator[Microbatch]:
    """Give a lane's microbatches, some without their rows: another row stands for them."""
    for each in stream:
        if (each.step, each.lane) in left_out:
            inputs, labels, _ = tensors.nothing(lane.avoiding(each.numbers))
            width, numbers = fed_width(inputs), each.numbers[:0]
            each = replace(
                each,
                inputs=inputs,
                labels=labels,
                row_ids=each.row_ids[:0],
                numbers=numbers,
                sources=each.sources[:0],
                num_rows=0,
                num_targets=0,
                num_tokens=0,
                num_fed_tokens=len(next(iter(inputs.values()))) * width,
                recorded=lane.recorded(numbers, np.zeros(0, np.int32), width),
                mixed=None,
            )
        yield each


@dataclass(frozen=True)
class _Tensors:
    """How rows become tensors."""

    collate: Collate
    mix: Mix | None

    def of(self, rows: pa.Table, bounds: np.ndarray, lane: LaneRows) -> Iterator[Made]:
        """Give what each microbatch feeds, the rows from one bound up to the next."""
        filled = np.unique(bounds)
        grouped = None
        if isinstance(self.collate, Padding) and len(filled) > 1:
            grouped = self.collate.each(rows, filled)
        for begin, end in pairwise(bounds.tolist()):
            if begin == end:
                yield self.nothing(lane)
            elif grouped is not None:
                yield next(grouped)
            else:
                inputs, labels = self.collate(rows.slice(begin, end - begin))
                yield inputs, labels, count_targets(labels)

    def mixed(
        self, inputs: dict[str, torch.Tensor], labels: torch.Tensor, ids: np.ndarray, epoch: int
    ) -> tuple[dict[str, torch.Tensor], Mixed | None]:
        """Mix the rows of a microbatch with others of it, where the recipe asks for that."""
        if self.mix is None or not len(ids):
            return inputs, None
        return self.mix(inputs, labels, ids, epoch)

    def nothing(self, lane: LaneRows) -> Made:
        """Give what stands for no rows: a row of the lane without a target."""
        # Every forward is a collective under ZeRO-3: lanes without rows take part as well.
        inputs, labels = self.collate(lane.read_any())
        nothing = torch.nan if labels.is_floating_point() else IGNORED
        return inputs, torch.full_like(labels, nothing), 0


def batching(recipe: Recipe, manifest: Manifest, *, packing: bool = False) -> Batching:
    """Give what turning the rows of a prepared set into tensors depends on."""
    return Batching(
        pad_token_id=manifest.pad_token_id,
        max_length=manifest.max_length,
        pad_to_multiple_of=recipe.pad_to_multiple_of,
        num_labels=len(manifest.label_names),
        packing=packing,
        numbers=manifest.numbers,
    )


def fed_width(inputs: dict[str, torch.Tensor]) -> int:
    """Give the tokens that are fed for each row; 1 where a row has no tokens but pixels."""
    first = next(iter(inputs.values()))
    return int(first.shape[1]) if first.dim() == 2 else 1


def _sources(rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if SOURCE not in rows.column_names:
        return np.zeros(rows.num_rows, np.int16)
    return np.asarray(rows[SOURCE].to_numpy(), np.int16)
