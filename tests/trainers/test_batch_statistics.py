"""Running statistics of batch norms: those of one process that feeds all lanes, on any ranks."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.on_ranks import on_ranks
from trainers.batch_statistics import BUFFER, BatchStatistics, find_batch_statistics

LANES, STEPS = 4, 3
Buffers = dict[str, torch.Tensor]


def _net(momentum: float | None = 0.1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3),
        nn.BatchNorm2d(3, momentum=momentum, affine=False),
    ).train()


def _rows(step: int, lane: int) -> tuple[torch.Tensor, int]:
    """Give (step + lane) % 4 rows, one that does not count for none; a row leaves one pixel."""
    source = torch.Generator().manual_seed(10 * step + lane)
    rows = (step + lane) % 4
    return torch.randn(max(1, rows), 2, 5, 5, generator=source), rows


def _plain(momentum: float | None) -> Buffers:
    """Feed all lanes one after another in plain torch, the last norm at rest where it must."""
    net = _net(momentum)
    for step in range(STEPS):
        for lane in range(LANES):
            inputs, rows = _rows(step, lane)
            net[4].train(len(inputs) > 1)
            if rows:
                net(inputs)
    return {name: buffer.clone() for name, buffer in net.named_buffers()}


def _found(net: nn.Module) -> BatchStatistics:
    found = find_batch_statistics(net)
    assert found is not None
    return found


def _ours(rank: int, world_size: int) -> list[tuple[Buffers, Buffers]]:
    answers = []
    for momentum in (0.1, None):
        net = _net(momentum)
        statistics = _found(net)
        for step in range(STEPS):
            for lane in range(rank, LANES, world_size):
                inputs, rows = _rows(step, lane)
                with statistics.caught(counts=rows > 0):
                    outputs = net(inputs)
                outputs.sum().backward()
            statistics.settle()
        live = {name: buffer.clone() for name, buffer in net.named_buffers()}
        answers.append((statistics.buffers(), live))
    return answers


def test_any_number_of_ranks_gives_the_bits_of_one_and_what_plain_torch_gives() -> None:
    alone = on_ranks(1, _ours)[0]
    for answers in (alone, *on_ranks(2, _ours), *on_ranks(4, _ours)):
        for momentum, (kept, live), (first, _) in zip((0.1, None), answers, alone, strict=True):
            expected = _plain(momentum)
            assert kept.keys() == live.keys() == expected.keys()
            for name, value in kept.items():
                assert torch.equal(value, live[name]) and torch.equal(value, first[name])
                torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def test_one_value_a_channel_is_normalised_by_what_is_kept() -> None:
    net = _net()
    statistics = _found(net)
    inputs, _ = _rows(0, 1)
    plain = _net()
    plain[4].eval()
    with statistics.caught(counts=True):
        assert torch.equal(net(inputs), plain(inputs))
    assert all(norm.training for norm in net)


def test_what_is_saved_is_read_back_to_the_bit() -> None:
    net = _net()
    for name, buffer in net.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.uniform_(1.0, 2.0)
    statistics = _found(net)
    saved = {piece.name: piece for piece in statistics.pieces(rank=0)}
    assert list(statistics.pieces(rank=1)) == []
    assert {name: len(piece.values) for name, piece in saved.items()} == statistics.sizes()

    def read(name: str, what: str, offset: int, count: int) -> torch.Tensor:
        assert (what, offset, count) == (BUFFER, 0, len(saved[name].values))
        return saved[name].values

    other = _net()
    _found(other).read(read)
    for name, buffer in other.named_buffers():
        assert torch.equal(buffer, dict(net.named_buffers())[name])


def test_passes_outside_of_a_step_are_forgotten() -> None:
    net = _net()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    statistics = _found(net)
    net(torch.randn(3, 2, 5, 5))
    statistics.write()
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())


@pytest.mark.parametrize(("frozen", "at_rest"), [((), []), ((1,), [1]), ((0, 1, 3), [1, 4])])
def test_frozen_batch_norms_rest(frozen: tuple[int, ...], at_rest: list[int]) -> None:
    net: Any = _net()
    for place in frozen:
        net[place].requires_grad_(False)
    _found(net).rest()
    assert [place for place in (1, 4) if not net[place].training] == at_rest


def test_models_without_batch_norms_have_none() -> None:
    assert find_batch_statistics(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))) is None
    untracked = nn.BatchNorm2d(2, track_running_stats=False)
    assert find_batch_statistics(nn.Sequential(untracked)) is None
