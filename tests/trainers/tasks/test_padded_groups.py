"""Microbatches padded together are those padded one by one, bit for bit."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch

from trainers.tasks import padded_groups
from trainers.tasks.judging import IGNORED, Batching, count_targets
from trainers.tasks.padded_groups import collate_in_groups
from trainers.tasks.tokens import pad_tokens

BOUNDS = np.array([0, 3, 4, 9, 10, 40])


def made_rows(*, with_types: bool) -> pa.Table:
    source = np.random.default_rng(0)
    lengths = source.integers(1, 30, size=50)
    ids = [source.integers(1, 99, size=length) for length in lengths]
    columns = {"input_ids": pa.array(ids, pa.list_(pa.int32()))}
    if with_types:
        columns["token_type_ids"] = pa.array(
            [np.arange(length) % 2 for length in lengths], pa.list_(pa.int8())
        )
    columns["length"] = pa.array(lengths, pa.int32())
    # A slice: its lists do not begin with the first value.
    return pa.table(columns).slice(7, 40)


def labels_of(rows: pa.Table, _: Batching) -> torch.Tensor:
    labels = torch.from_numpy(rows["length"].to_numpy().astype(np.int64)) % 5
    return torch.where(labels == 3, IGNORED, labels)


def several_labels_of(rows: pa.Table, batching: Batching) -> torch.Tensor:
    values = labels_of(rows, batching).float()[:, None].repeat(1, 3)
    values[:, 1] = torch.nan
    return values


@pytest.mark.parametrize("with_types", [False, True])
@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("most_tokens", [1, 60, 2**17])
@pytest.mark.parametrize("labels", [labels_of, several_labels_of])
def test_same_bits(
    monkeypatch: pytest.MonkeyPatch, *, with_types: bool, multiple: int, most_tokens: int, labels
) -> None:
    monkeypatch.setattr(padded_groups, "MOST_TOKENS", most_tokens)
    rows = made_rows(with_types=with_types)
    batching = Batching(pad_token_id=7, max_length=29, pad_to_multiple_of=multiple, num_labels=3)
    padding = collate_in_groups(labels)(None, batching)
    assert isinstance(padding, padded_groups.Padding)
    made = list(padding.each(rows, BOUNDS))
    assert len(made) == len(BOUNDS) - 1
    for (inputs, found, num_targets), (start, stop) in zip(made, pairwise(BOUNDS), strict=True):
        part = rows.slice(start, stop - start)
        expected = pad_tokens(part, batching)
        assert padding(part)[0].keys() == expected.keys()
        assert inputs.keys() == expected.keys()
        for name, values in expected.items():
            assert inputs[name].equal(values)
            assert inputs[name].stride() == values.stride()
        assert torch.equal(found.nan_to_num(5.0), labels(part, batching).nan_to_num(5.0))
        assert num_targets == count_targets(labels(part, batching))
