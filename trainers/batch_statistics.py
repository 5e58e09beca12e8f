"""Keep the running statistics of batch norms the same at any number of ranks; whoever steps, calls.

While a step runs, every microbatch normalises by itself. Its means and unbiased variances are
caught lane by lane and, when the step is over, averaged into the running ones in the order of the
lanes, as one process that fed all lanes would do it (Ioffe and Szegedy 2015,
https://arxiv.org/abs/1502.03167). Lanes without rows are left out. A microbatch with one value a
channel (one row of one pixel) has no variance: it is normalised by the running statistics, and
changes none. Batch norms whose weights are frozen normalise by the running statistics too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainers.partitions import Piece, ReadStretch

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
BUFFER = "buffer"
"""What a commit calls them."""


class BatchStatistics:
    """The batch norms of a model, and their running statistics in fp32.

    Outside of a step the modules hold a copy of what is kept here. Their own momentum is 1, so that
    after a forward pass they hold the statistics of its microbatch.
    """

    def __init__(self, modules: dict[str, _BatchNorm], parents: dict[str, nn.Module]) -> None:
        self._modules, self._parents = modules, parents
        norms = list(modules.values())
        self._momenta = [norm.momentum for norm in norms]
        self._counts = torch.tensor([_count(norm) for norm in norms])
        self._kept = torch.cat([_statistics(norm) for norm in norms])
        self._widths = [2 * norm.num_features for norm in norms]
        self._seen = [False] * len(norms)
        self._single: set[int] = set()
        self._lanes: list[torch.Tensor] = []
        for place, norm in enumerate(norms):
            norm.momentum = 1.0
            norm.register_forward_pre_hook(self._note_beginning(place))
            norm.register_forward_hook(self._note_end(place))

    def rest(self) -> None:
        """Let batch norms whose weights are frozen run as in evaluation.

        One without weights goes with the module that it is part of.
        """
        for name, norm in self._modules.items():
            owner = norm if norm.affine else self._parents[name]
            if not any(parameter.requires_grad for parameter in owner.parameters()):
                norm.eval()

    def write(self) -> None:
        """Copy what is kept into the modules: after any forward pass in training mode."""
        parts = zip(self._modules.values(), self._kept.split(self._widths), strict=True)
        with torch.no_grad():
            for place, (norm, part) in enumerate(parts):
                mean, variance = part.chunk(2)
                _take_precision(norm)
                _buffer(norm.running_mean).copy_(mean)
                _buffer(norm.running_var).copy_(variance)
                _buffer(norm.num_batches_tracked).fill_(int(self._counts[place]))

    @contextmanager
    def caught(self, *, counts: bool) -> Iterator[None]:
        """Catch the statistics of one lane's forward pass; one that does not count has no rows."""
        # Not behind the pass: its backward would find them changed. What has one value a channel is
        # to find the running statistics, not those of the lane before.
        self.write()
        self._seen = [False] * len(self._seen)
        yield
        seen = torch.tensor([float(counts and seen) for seen in self._seen])
        caught = torch.cat([_statistics(norm) for norm in self._modules.values()])
        self._lanes.append(torch.cat([seen.to(caught.device), caught]))

    def settle(self) -> None:
        """Average the lanes that were caught into what is kept. Collective: every rank calls this.

        Lanes are caught in their order: rank, rank + world size, and so on.
        """
        mine = torch.stack(self._lanes)
        self._lanes = []
        everyone = [mine]
        if dist.get_world_size() > 1:
            everyone = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
            dist.all_gather(everyone, mine)
        self._kept = self._kept.to(mine.device)
        for lane in torch.stack(everyone, dim=1).flatten(0, 1):
            self._average(lane)
        self.write()

    def forget(self) -> None:
        """Let go of the lanes that were caught: their step moves nothing."""
        self._lanes = []
        self.write()

    def pieces(self, rank: int) -> Iterator[Piece]:
        """Give the buffers, all of them on rank 0: they are the same on every rank."""
        for name, buffer in self.buffers().items() if rank == 0 else ():
            yield Piece(name, BUFFER, 0, buffer.reshape(-1))

    def sizes(self) -> dict[str, int]:
        """Give the number of elements of each buffer."""
        return {name: buffer.numel() for name, buffer in self.buffers().items()}

    def buffers(self) -> dict[str, torch.Tensor]:
        """Copy the buffers out, on the CPU, by their names in the model."""
        copied: dict[str, torch.Tensor] = {}
        kept = self._kept.cpu().split(self._widths)
        for place, (name, part) in enumerate(zip(self._modules, kept, strict=True)):
            mean, variance = part.chunk(2)
            values = (mean.clone(), variance.clone(), self._counts[place].clone())
            copied |= {f"{name}.{key}": value for key, value in zip(BUFFERS, values, strict=True)}
        return copied

    def read(self, read: ReadStretch) -> None:
        """Take saved buffers for what is kept; raises CheckpointError where one is missing."""
        kept = []
        for place, (name, norm) in enumerate(self._modules.items()):
            for key in BUFFERS[:2]:
                kept.append(read(f"{name}.{key}", BUFFER, 0, norm.num_features))
            self._counts[place] = read(f"{name}.{BUFFERS[2]}", BUFFER, 0, 1)[0]
        self._kept = torch.cat(kept).float().to(self._kept.device)
        self.write()

    def _average(self, lane: torch.Tensor) -> None:
        """Average the statistics of one lane into what is kept."""
        seen, caught = lane[: len(self._seen)].cpu(), lane[len(self._seen) :]
        self._counts += seen.long()
        shares = [
            1.0 / max(1, count) if momentum is None else momentum
            for momentum, count in zip(self._momenta, self._counts.tolist(), strict=True)
        ]
        wide = (torch.tensor(shares) * seen).repeat_interleave(torch.tensor(self._widths))
        share = wide.to(caught.device)
        averaged = self._kept * (1.0 - share) + caught * share
        self._kept = torch.where(share > 0, averaged, self._kept)

    def _note_beginning(self, place: int) -> Callable[[_BatchNorm, tuple[Any, ...]], None]:
        def note(norm: _BatchNorm, inputs: tuple[Any, ...]) -> None:
            if norm.training and inputs[0].numel() == norm.num_features:
                norm.training = False
                self._single.add(place)
            elif norm.training:
                self._seen[place] = True

        return note

    def _note_end(self, place: int) -> Callable[..., None]:
        def note(norm: _BatchNorm, *_: object) -> None:
            if place in self._single:
                norm.training = True
                self._single.remove(place)

        return note


def find_batch_statistics(model: nn.Module) -> BatchStatistics | None:
    """Find the batch norms of a model that keep running statistics; None where there are none."""
    modules = dict(model.named_modules())
    norms = {
        name: module
        for name, module in modules.items()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    if not norms:
        return None
    return BatchStatistics(norms, {name: modules[name.rpartition(".")[0]] for name in norms})


def _statistics(norm: _BatchNorm) -> torch.Tensor:
    """Give running means and variances one behind the other, fp32: a copy."""
    return torch.cat([_buffer(norm.running_mean), _buffer(norm.running_var)]).float()


def _count(norm: _BatchNorm) -> int:
    return int(_buffer(norm.num_batches_tracked))


def _take_precision(norm: _BatchNorm) -> None:
    """Bring the buffers to the precision of the weights: the engine rounds weights alone."""
    if norm.affine and _buffer(norm.running_mean).dtype != norm.weight.dtype:
        norm.running_mean = _buffer(norm.running_mean).to(norm.weight.dtype)
        norm.running_var = _buffer(norm.running_var).to(norm.weight.dtype)


def _buffer(buffer: torch.Tensor | None) -> torch.Tensor:
    assert buffer is not None, "only batch norms with running statistics are kept"
    return buffer
