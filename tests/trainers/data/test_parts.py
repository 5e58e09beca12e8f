"""Microbatches in parts: the same rows in the same order, nothing twice."""

import numpy as np
import pytest
import torch

from tests.trainers.ragged import make_microbatch
from trainers.data.batches import Microbatch
from trainers.data.image_mixing import Mixed
from trainers.data.parts import cut
from trainers.tasks.judging import count_targets


def whole(rows: int) -> Microbatch:
    """A microbatch of 0 to 3 rows, with all that one can hold."""
    made = make_microbatch(rows, 0)
    labels = made.labels
    return Microbatch(
        **{
            **vars(made),
            "numbers": np.arange(rows) + 40,
            "recorded": torch.randn(len(labels), made.inputs["input_ids"].shape[1], 2),
            "mixed": Mixed(labels.flip(0), 0.25) if rows else None,
        }
    )


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
@pytest.mark.parametrize("num_parts", [1, 2, 3, 4, 8])
def test_parts_hold_the_rows_of_the_whole(rows: int, num_parts: int) -> None:
    microbatch = whole(rows)
    parts = cut(microbatch, num_parts)
    assert len(parts) == num_parts
    assert [n for part in parts for n in part.numbers.tolist()] == microbatch.numbers.tolist()
    assert [i for part in parts for i in part.row_ids] == microbatch.row_ids.tolist()
    assert sum(part.num_rows for part in parts) == rows
    assert sum(count_targets(part.labels) for part in parts) == microbatch.num_targets
    assert max(part.num_rows for part in parts) == -(-rows // num_parts)
    fed = [part for part in parts if part.num_rows]
    if rows:
        for name in ("labels", "recorded"):
            joined = torch.cat([getattr(part, name) for part in fed])
            assert joined.equal(getattr(microbatch, name)), name
        assert torch.cat([p.inputs["input_ids"] for p in fed]).equal(microbatch.inputs["input_ids"])
        assert torch.cat([p.mixed.labels for p in fed if p.mixed]).equal(microbatch.labels.flip(0))
    # Each part can be fed: under ZeRO-3 every forward pass is a collective.
    assert all(len(part.labels) == len(part.inputs["input_ids"]) >= 1 for part in parts)


def packed(lengths: list[int]) -> Microbatch:
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    ids = torch.arange(positions.numel())[None] + 5
    labels = torch.where(positions > 0, ids, -100)
    made = make_microbatch(len(lengths), 0)
    return Microbatch(
        **{
            **vars(made),
            "inputs": {"input_ids": ids, "position_ids": positions},
            "labels": labels,
            "row_ids": np.arange(len(lengths), dtype=np.uint64),
            "numbers": np.arange(len(lengths)),
            "num_rows": len(lengths),
        }
    )


def test_a_packed_sequence_is_cut_between_rows() -> None:
    microbatch = packed([3, 5, 2])
    first, second = cut(microbatch, 2)
    assert first.inputs["position_ids"].tolist() == [[0, 1, 2]]
    assert second.inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    for name in ("input_ids", "position_ids"):
        joined = torch.cat([first.inputs[name], second.inputs[name]], dim=1)
        assert joined.equal(microbatch.inputs[name])
    assert torch.cat([first.labels, second.labels], dim=1).equal(microbatch.labels)
    assert (first.num_rows, second.num_rows) == (1, 2)


def test_a_packed_sequence_with_an_empty_row_stays_whole() -> None:
    microbatch = packed([3, 0, 2])
    first, second = cut(microbatch, 2)
    assert first is microbatch
    assert (second.num_rows, count_targets(second.labels)) == (0, 0)
