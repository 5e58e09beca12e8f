"""Pad many microbatches at once, bit for bit as one by one; which rows are in each, others say.

A small microbatch costs more in calls than in tokens. Here one pass lays the tokens of a whole
group of them into one piece of memory, and each microbatch is a view of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from trainers.tasks.functions import Collate
from trainers.tasks.judging import Batching, is_target
from trainers.tasks.tokens import pad_tokens, padded_width

if TYPE_CHECKING:
    from torch import Tensor

MOST_TOKENS = 2**17
"""Padded tokens of a group, but for a microbatch that has more: 1 MiB a tensor."""
Bounds = np.ndarray[tuple[int], np.dtype[np.int64]]
Made = tuple["dict[str, Tensor]", "Tensor", int]
"""Inputs, labels and number of targets of a microbatch."""
LabelsOf = Callable[[pa.Table, Batching], "Tensor"]
"""Gives the labels of shard rows, (rows, ...), whatever other rows are beside them."""


@dataclass(frozen=True)
class Padding:
    """Pads shard rows to the longest, those of one microbatch or of many at once."""

    batching: Batching
    labels_of: LabelsOf

    def __call__(self, rows: pa.Table) -> "tuple[dict[str, Tensor], Tensor]":
        """Give the model's inputs, each (rows, tokens) int64, and the labels, of one microbatch."""
        return pad_tokens(rows, self.batching), self.labels_of(rows, self.batching)

    def each(self, rows: pa.Table, bounds: Bounds) -> Iterator[Made]:
        """Give the same for the rows from each bound up to the next, and the number of targets."""
        return pad_groups(rows, bounds, self.batching, self.labels_of)


def collate_in_groups(labels_of: LabelsOf) -> Collate:
    """Give the function that pads shard rows, for labels that are not padded themselves."""

    def collate(task: Any, batching: Batching) -> Padding:
        return Padding(batching, labels_of)

    return collate


def pad_groups(
    rows: pa.Table, bounds: Bounds, batching: Batching, labels_of: LabelsOf
) -> Iterator[Made]:
    """Give inputs, labels and number of targets of each microbatch, none of which is empty.

    Microbatch i has the rows from bounds[i] up to bounds[i + 1]. `labels_of` gives the labels of
    all rows, (rows, ...). The inputs are those of `pad_tokens`.
    """
    labels = labels_of(rows, batching)
    targets = is_target(labels).flatten(1).sum(1) if labels.dim() > 1 else is_target(labels)
    counted = np.add.reduceat(targets.numpy(), bounds[:-1], dtype=np.int64).tolist()
    lengths = rows["length"].to_numpy().astype(np.int64)
    own_labels = labels.split(np.diff(bounds).tolist())
    widths = padded_width(np.maximum.reduceat(lengths, bounds[:-1]), batching)
    for first, last in _cut(widths * np.diff(bounds)):
        start, stop = int(bounds[first]), int(bounds[last])
        part = rows.slice(start, stop - start)
        own = bounds[first : last + 1] - start
        inputs = _padded(part, own, lengths[start:stop], widths[first:last], batching)
        for number, each in enumerate(inputs, first):
            yield each, own_labels[number], counted[number]


def _cut(sizes: Bounds) -> Iterator[tuple[int, int]]:
    """Cut microbatches of so many padded tokens into groups."""
    first, held = 0, 0
    for number, size in enumerate(sizes.tolist()):
        if held and held + size > MOST_TOKENS:
            yield first, number
            first, held = number, 0
        held += size
    yield first, len(sizes)


def _padded(
    rows: pa.Table, bounds: Bounds, lengths: Bounds, widths: Bounds, batching: Batching
) -> "Iterator[dict[str, Tensor]]":
    import torch

    counts = np.diff(bounds)
    # Row after row in one piece of memory: a run of tokens, then a run of padding.
    runs = np.stack([lengths, np.repeat(widths, counts) - lengths], axis=1)
    is_token = np.repeat(np.tile([True, False], len(lengths)), runs.ravel())
    flat = {"input_ids": np.full(len(is_token), batching.pad_token_id, dtype=np.int64)}
    if "token_type_ids" in rows.column_names:
        flat["token_type_ids"] = np.zeros(len(is_token), dtype=np.int64)
    for name, values in flat.items():
        values[is_token] = _values(rows[name])
    flat["attention_mask"] = is_token.astype(np.int64)
    start = 0
    for count, width in zip(counts.tolist(), widths.tolist(), strict=True):
        stop = start + count * width
        # Cut by numpy: what torch cuts hands the interpreter to the other thread each time.
        yield {
            name: torch.from_numpy(values[start:stop].reshape(count, width))
            for name, values in flat.items()
        }
        start = stop


def _values(column: pa.ChunkedArray) -> np.ndarray:
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    offsets = joined.offsets.to_numpy()
    values: np.ndarray = joined.values.to_numpy()[offsets[0] : offsets[-1]]
    return values
