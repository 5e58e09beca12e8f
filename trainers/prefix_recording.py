"""Run the frozen prefix over a rank's lanes and write down what it gives, where that is missing.

Whether that is worth it, and what is done with it, stands in prefix_cache.py.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from configs.errors import StorageError
from trainers.agreement import all_agree, reduced
from trainers.data.batches import Collate
from trainers.data.lane_rows import lane_rows
from trainers.data.recordings import Shape, Sizes, Writer, chunks, is_whole, lane_file
from trainers.data.store import Split
from trainers.private_folders import is_private, private_folder
from trainers.strategy.prefix import Capture

Rows = tuple[int, int]


class Recorder:
    """Records lanes, the same number of forward passes on every rank."""

    def __init__(
        self,
        capture: Capture,
        feed: Callable[[dict[str, torch.Tensor]], Any],
        collate: Collate,
        shape: Shape,
        most_tokens: int,
    ) -> None:
        """Record what `capture` takes from the forward passes that `feed` makes.

        One pass takes rows of up to `most_tokens` tokens with padding, or a single longer row.
        """
        self.problem: str | None = None
        """What kept this rank from writing."""
        self._capture, self._feed, self._collate = capture, feed, collate
        self._shape, self._most_tokens = shape, most_tokens

    def record(self, folder: Path, name: str, split: Split, lanes: range, num_lanes: int) -> int:
        """Record the lanes of a split that are not there; returns how many were not, on any rank.

        Collective: every rank calls this, with as many lanes. A rank that cannot write goes on
        computing, since under ZeRO-3 the others wait for it.
        """
        missing = 0
        for lane in lanes:
            rows = lane_rows(split.info.rows, num_lanes, lane)
            path = lane_file(folder, name, rows)
            if not all_agree(is_private(folder.parent) and is_whole(path)):
                missing += 1
                try:
                    private_folder(folder.parent)
                    writer = Writer(path, self._shape)
                except (OSError, StorageError) as error:
                    self.problem, writer = str(error), None
                # The longest lane is one row longer than the shortest.
                self._record_lane(split, rows, -(-split.info.rows // num_lanes), writer)
        return missing

    def _record_lane(self, split: Split, rows: Rows, longest: int, writer: Writer | None) -> None:
        first, stop = rows
        tokens = sum(length * count for length, count in split.info.lengths.items())
        per_row = self._shape.num_bytes(split.info.rows, tokens) / max(1, split.info.rows)
        for begin, end in chunks(first, first + longest, per_row):
            numbers = np.arange(begin, max(begin, min(end, stop)), dtype=np.int64)
            kept = self._run_over(split, numbers)
            if writer is not None and kept:
                try:
                    writer.write(kept)
                except OSError as error:
                    self.problem = str(error)
                    writer.abandon()
                    writer = None
        if writer is not None:
            try:
                writer.finish()
            except OSError as error:
                self.problem = str(error)

    def _run_over(
        self, split: Split, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> list[torch.Tensor]:
        """Give what is kept of rows, in their order; they are fed sorted by length. Collective."""
        lengths = np.zeros(0, np.int32)
        if len(numbers):
            lengths = split.lengths(int(numbers[0]), int(numbers[-1]) + 1)
        order = np.argsort(lengths, kind="stable")
        bounds = cut_by_tokens(lengths[order], self._most_tokens)
        # Under ZeRO-3 every forward pass is a collective.
        passes = int(reduced([len(bounds) - 1], dist.ReduceOp.MAX).item())
        bounds += [len(numbers)] * (passes + 1 - len(bounds))
        kept: list[torch.Tensor | None] = [None] * len(numbers)
        for start, stop in pairwise(bounds):
            places = order[start:stop]
            table = split.read(numbers[places] if len(places) else np.zeros(1, np.int64))
            inputs, _ = self._collate(table)
            values = self._capture.run(partial(self._feed, inputs)).cpu()
            rows = self._cut(values, lengths[places])
            for place, row in zip(places.tolist(), rows, strict=True):
                kept[place] = row
        return [row for row in kept if row is not None]

    def _cut(self, values: torch.Tensor, lengths: Sizes) -> list[torch.Tensor]:
        """Copy out what is kept of each row."""
        if not self._shape.by_token:
            return [values[row].clone() for row in range(len(lengths))]
        starts = self._shape.starts(lengths).tolist()
        counts = self._shape.counts(lengths).tolist()
        return [
            values[row, start : start + count].clone()
            for row, (start, count) in enumerate(zip(starts, counts, strict=True))
        ]


def cut_by_tokens(lengths: Sizes, most_tokens: int) -> list[int]:
    """Cut rows, sorted by length, into pieces of up to so many tokens with padding; gives bounds.

    A longer row is a piece of its own.
    """
    bounds = [0]
    for place, length in enumerate(lengths.tolist()):
        if place > bounds[-1] and (place + 1 - bounds[-1]) * max(1, length) > most_tokens:
            bounds.append(place)
    return [*bounds, len(lengths)] if len(lengths) else bounds
