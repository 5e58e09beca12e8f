"""Hold the model of one rank and the engine that moves it; which weights are in it, others say."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from configs.errors import RecipeError
from configs.schema import Recipe
from trainers.agreement import all_agree
from trainers.batch_statistics import find_batch_statistics
from trainers.engine import Engine, build_engine
from trainers.heartbeat import unhurried
from trainers.model import load_model
from trainers.partitions import Piece, ReadStretch
from trainers.place import Place
from trainers.strategy.freezing import count_elements, frozen_hashes, mark_trainable
from trainers.strategy.learning_rates import parameter_groups, rate_scales
from trainers.strategy.prefix import (
    Layout,
    Prefix,
    Standin,
    find_layout,
    find_prefix,
    rest,
    take_out,
)
from trainers.strategy.reach import forget_graph, unreached


class LiveModel:
    """The model, and the engine of the phase that it is in."""

    def __init__(self, recipe: Recipe, place: Place, label_names: tuple[str, ...]) -> None:
        """Load the model. Collective: every rank constructs it; `build` comes before any use."""
        self.module: Any
        with unhurried():
            self.module, self.head = load_model(recipe, label_names, place.world_size)
        # Before an engine rounds them to half precision.
        self.statistics = find_batch_statistics(self.module)
        if self.statistics is not None and recipe.faults.feed_parts > 1:
            raise RecipeError(
                f"faults.feed_parts is {recipe.faults.feed_parts} but the model has batch norms, "
                "whose statistics are of whole microbatches. Use activation_checkpointing, or a "
                "new run with a smaller batch.microbatch_size"
            )
        self.engine: Engine
        self.idle: frozenset[str] = frozenset()
        """What learns but gets no gradient from the rows that were tried: it stays as it is."""
        self._recipe, self._place = recipe, place
        self._num_parameters = sum(count_elements(p) for p in self.module.parameters())
        self._hashes: dict[str, str] = {}
        self._standin: Standin | None = None
        self._layout: Layout | None = None
        self._prefix: Prefix | None = None
        self._born: Mapping[str, int] = {}
        self._scales: dict[str, float] = {}

    @property
    def is_whole(self) -> bool:
        """Whether no prefix is taken out."""
        return self._standin is None

    @property
    def runs_out_of_order(self) -> bool:
        """Whether something is frozen but nothing of it is a prefix: blocks run in no order."""
        return bool(self._hashes) and self._layout is None

    @property
    def hashes(self) -> dict[str, str]:
        """Hashes of this rank's share of what was frozen when the phase began, by name."""
        return self._hashes

    def build(
        self,
        trainable: frozenset[str],
        born: Mapping[str, int],
        learned: Collection[str],
        look: Callable[[], Iterator[torch.Tensor]],
    ) -> Prefix | None:
        """Build the engine of a phase over the whole model; gives the frozen prefix, if any.

        Collective: every rank calls this. `born` tells when what learns began to, `learned` names
        what learns now or has learned, `look` makes a forward pass and gives its loss.
        """
        if self._standin is not None:
            self._standin.put_back()
        self._standin = self._prefix = None
        mark_trainable(self.module, trainable)
        rate = self._recipe.optimizer.learning_rate
        # On the whole model: they count its blocks.
        self._scales = rate_scales(self.module, self._recipe.freezing, self.head, rate)
        self._born, self.idle = born, frozenset()
        self._build_engine()
        # Not before: the engine rounds the model to half precision.
        self.hash_again()
        self._watch(look)
        if self._hashes and self._layout is not None:
            self._prefix = find_prefix(self.module, self._layout, learned)
        self.train()
        return self._prefix

    def _watch(self, look: Callable[[], Iterator[torch.Tensor]]) -> None:
        """Watch a forward pass: in which order the blocks run, and what of all that learns is used.

        Collective: every rank calls this.
        """
        losses = look()

        def watched() -> None:
            self.idle = unreached(self.module, next(losses))

        if self._hashes and self._layout is None:
            self._layout = find_layout(self.module, watched)
        else:
            watched()
        forget_graph(self.module)
        for loss in losses:
            self.idle &= unreached(self.module, loss)
            forget_graph(self.module)
        self.forget_passes()
        if self.idle:
            self.engine.handle.destroy()
            self._build_engine()

    def take_out(
        self, prefix: Prefix, proven: Callable[[], bool], keep: Collection[str] = ()
    ) -> bool:
        """Go on without a prefix, but for modules to `keep`; put it back where `proven` says no.

        Collective: every rank calls this.
        """
        device = self.engine.handle.device
        self.engine.handle.destroy()
        self._standin = take_out(self.module, prefix, device, keep)
        self._build_engine()
        if proven():
            return True
        self.engine.handle.destroy()
        self._standin.put_back()
        self._standin = None
        self._build_engine()
        return False

    def forget_passes(self) -> None:
        """Let batch norms hold the running statistics, after a pass in training mode."""
        if self.statistics is not None:
            self.statistics.write()

    def buffer_sizes(self) -> dict[str, int]:
        """Give the number of elements of each buffer that training moves, by name."""
        return self.statistics.sizes() if self.statistics is not None else {}

    def buffer_pieces(self, rank: int) -> Iterable[Piece]:
        """Copy out this rank's share of the buffers that training moves."""
        return self.statistics.pieces(rank) if self.statistics is not None else ()

    def read_buffers(self, read: ReadStretch) -> None:
        """Take saved buffers for those that training moves."""
        if self.statistics is not None:
            self.statistics.read(read)

    def take_back(self, read: ReadStretch) -> None:
        """Take the buffers of a commit whose weights are in the model again."""
        self.read_buffers(read)
        # Those of an earlier phase: what is frozen now may have learned since.
        self.hash_again()

    def train(self) -> None:
        """Let the model train; what is frozen below all that learns runs without dropout."""
        self.engine.handle.train()
        if self.statistics is not None:
            self.statistics.rest()
        if self._prefix is not None:
            rest(self.module, self._prefix)

    def count_parameters(self) -> tuple[int, int]:
        """Count the elements that learn in this phase, and those that are frozen."""
        learn = sum(count_elements(p) for p in self.module.parameters() if p.requires_grad)
        return learn, self._num_parameters - learn

    def frozen_unchanged(self) -> bool:
        """Say whether every frozen tensor has the bits it was frozen with. Collective."""
        return all_agree(self._hash() == self._hashes)

    def hash_again(self) -> None:
        """Take what is frozen now for what must not change."""
        self._hashes = self._hash()

    def _build_engine(self) -> None:
        groups = parameter_groups(
            self.module, self._recipe.optimizer, self._scales, self._born, self.idle
        )
        box = self._standin.box if self._standin is not None else None
        engine = build_engine(self.module, self._recipe, self._place, groups, box)
        self.engine = replace(engine, statistics=self.statistics)
        self.forget_passes()
        self.train()

    def _hash(self) -> dict[str, str]:
        hashes = frozen_hashes(self.module)
        parked: dict[str, torch.nn.Module] = self._standin.parked if self._standin else {}
        for name, module in parked.items():
            hashes |= {f"{name}.{inner}": h for inner, h in frozen_hashes(module).items()}
        return hashes
