"""Hold one rank's live run: model, engine, cursor; open it fresh or from a commit, and commit it.

The loop that moves it forward stands in finetune.py.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch

from configs.errors import CheckpointError, TrainingError
from configs.records import Committed, Note, Record
from configs.schema import Recipe
from trainers import checkpoint, partitions
from trainers.arithmetic import arithmetic
from trainers.checkpoint import Cursor
from trainers.data.batches import Collate, batching, fed_width
from trainers.data.lane_rows import OpenRecording
from trainers.data.store import Split, SplitName, load_manifest, open_split
from trainers.engine import Engine, feed, running_stage, start_distributed
from trainers.live_model import LiveModel
from trainers.place import Place
from trainers.prefix_cache import PrefixCache, open_cache, prove
from trainers.saved_state import SavedState, continued, read_best
from trainers.strategy.freezing import count_elements
from trainers.strategy.phases import births, choose_phases, learned
from trainers.tasks import functions_of
from trainers.tasks.generation import build_writer
from trainers.tasks.judging import Setting
from trainers.tracking import Tracker

Report = Callable[[Record], None]


class Session:
    """One rank's live run."""

    def __init__(
        self, recipe: Recipe, place: Place, report: Report, *, training: bool = True
    ) -> None:
        """Open the run, from its newest good commit where there is one.

        Collective: every rank constructs it. `report` gets each record on rank 0, besides the files
        of the run directory. Without `training` it takes the weights that are to be exported, of
        any prepared set, and writes no records into the run directory. Raises CheckpointError when
        there are commits and none can be trusted.
        """
        start_distributed(place.device)
        self.recipe = recipe
        self.place = place
        self.task = functions_of(recipe.task)
        self.manifest = load_manifest(place.data_dir)
        self.newest, problems = checkpoint.find_good_commit(
            place.run_dir, place.rank, place.world_size
        )
        if self.newest is None and problems:
            raise CheckpointError(
                f"no commit of {place.run_dir} can be loaded: {problems[0]}. Start a new run"
            )
        if training:
            saved = self._read_newest()
        else:
            self.newest, saved = read_best(place.run_dir, self.newest)
        self.cursor = saved.cursor if saved is not None else Cursor()
        self._frozen = saved.frozen if saved is not None else None
        self._cache: PrefixCache | None = None
        self._may_cache = training
        self._processor: Any = None
        self._outside = report
        self.tracker = (
            Tracker(place.run_dir, recipe, resumed_from_step=self.cursor.step)
            if place.rank == 0 and training
            else None
        )
        for problem in problems:
            self.note(f"{problem}. The commit before it is used", level="warning")
        self._open(saved, training=training)

    @property
    def leads(self) -> bool:
        """Whether this rank speaks for all."""
        return self.place.rank == 0

    @property
    def model(self) -> Any:
        """The model, as it is now."""
        return self.live.module

    @property
    def engine(self) -> Engine:
        """The engine of this phase."""
        return self.live.engine

    def report(self, record: Record) -> None:
        """Write a record down, once for all ranks."""
        if self.tracker is not None:
            self.tracker.report(record)
        if self.leads:
            self._outside(record)

    def note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """Report one sentence for a person."""
        self.report(Note(time=time.time(), level=level, text=text))

    def processor(self) -> Any:
        """Load what turned cells into numbers at first use; training itself needs none."""
        if self._processor is None:
            self._processor = self.task.load_processor(self.recipe.model)
        return self._processor

    def setting(self) -> Setting:
        """Give what the task must know to judge what the model says."""
        names, device = self.manifest.label_names, self.engine.handle.device
        together = self.engine.stage == 3 and self.place.world_size > 1
        writer = build_writer(self.model, self.recipe.task, self.processor, together=together)
        return Setting(self.recipe.task, names, device, self.processor, writer)

    def open_split(self, name: SplitName) -> Split:
        """Open a split of the prepared set; raises DataError where it has none of that name."""
        cache_bytes = int(self.recipe.cluster.cache_gib * 2**30)
        return open_split(self.place.data_dir, self.manifest, name, cache_bytes=cache_bytes)

    def collate(self, *, packing: bool = False) -> Collate:
        """Give the function that turns shard rows into tensors."""
        given = batching(self.recipe, self.manifest, packing=packing)
        return self.task.collate(self.recipe.task, given)

    def recordings(self, split: SplitName) -> OpenRecording | None:
        """Give what opens the recordings that stand for the frozen prefix of the model."""
        return self._cache.opener(split) if self._cache is not None else None

    def advance(self, **changes: object) -> None:
        """Move the cursor."""
        self.cursor = self.cursor.model_copy(update=changes)

    def commit(self) -> None:
        """Write a commit of what is. Collective: every rank calls this."""
        started = time.monotonic()
        place = self.place
        name = checkpoint.checkpoint_name(self.cursor.step, place.attempt)
        if self.cursor.best.is_at(self.cursor.step):
            self.advance(best_checkpoint=name)
        if self._frozen is None:
            self._frozen = self._commit_frozen()
        pieces = chain(
            partitions.local_pieces(self.engine, place.rank, place.world_size),
            partitions.frozen_pieces(self.engine, place.rank, place.world_size, self._learned()),
            self.live.buffer_pieces(place.rank),
        )
        manifest = checkpoint.commit(
            place.run_dir, name, pieces, self._manifest(learned=True), place.rank
        )
        self.newest = name
        if self.leads:
            checkpoint.delete_old_commits(
                place.run_dir, self.recipe.checkpoint.keep_last, self.cursor.best_checkpoint
            )
        self.report(
            Committed(
                time=time.time(),
                step=self.cursor.step,
                checkpoint=name,
                seconds=time.monotonic() - started,
                num_bytes=sum(file.num_bytes for file in manifest.files),
            )
        )

    def is_committed(self) -> bool:
        """Say whether the newest commit is of the step that training stands at."""
        return self.newest is not None and checkpoint.step_of(self.newest) == self.cursor.step

    def load_best(self) -> int:
        """Put the weights that are to be exported into the live engine; returns their step.

        Collective: every rank calls this.
        """
        name = self.cursor.best_checkpoint
        if name is None or self.cursor.best.is_at(self.cursor.step):
            return self.cursor.step
        if not self.live.frozen_unchanged():
            raise TrainingError(
                "a frozen weight changed during training, which must never be. Report this as a "
                "defect"
            )
        saved = SavedState(self.place.run_dir, name)
        partitions.restore_weights(self.engine, saved.read, self.place.rank, saved.sizes)
        self.live.take_back(saved.read)
        return saved.manifest.cursor.step

    def rebuild(self) -> None:
        """Build the engine of the cursor's phase, with the state of the newest commit.

        Collective: every rank calls this. What is new begins with moments of 0.
        """
        assert self.newest is not None
        self.engine.handle.destroy()
        self._build()
        self._restore(SavedState(self.place.run_dir, self.newest))

    def make_whole(self) -> None:
        """Put a prefix back that was taken out of the model. Collective: every rank calls this."""
        self._may_cache = False
        if not self.live.is_whole:
            self.rebuild()

    def close(self) -> None:
        """Let go of files; the process group stays."""
        if self.tracker is not None:
            self.tracker.close()

    def _open(self, saved: checkpoint.Manifest | None, *, training: bool) -> None:
        """Build model and engine, with the weights and moments of a commit where there is one."""
        recipe, place = self.recipe, self.place
        self.live = LiveModel(recipe, place, self.manifest.label_names)
        self.phases = choose_phases(self.model, recipe.freezing, self.live.head, recipe.epochs)
        state = None
        if saved is not None:
            assert self.newest is not None
            state = SavedState(place.run_dir, self.newest)
            stage = running_stage(recipe)
            partitions.write_model_weights(self.model, state.read, stage, place.rank, state.sizes)
            self.live.read_buffers(state.read)
        self._build()
        if state is not None and training:
            self._restore(state)
        if self.engine.stage != recipe.zero.stage:
            self.note("half precision runs ZeRO stage 0 as stage 1: same numbers, less memory")

    def _build(self) -> None:
        """Build the engine of the cursor's phase, without a prefix that is recorded. Collective."""
        number, starts = self.cursor.phase, self.cursor.phase_starts
        born = births(self.phases, number, starts)
        prefix = self.live.build(self.phases[number].trainable, born, self._learned(), self._look)
        self._cache = open_cache(self, prefix) if self._may_cache else None
        if self._cache is not None:
            # While they are in the model.
            self._frozen = self._frozen or self._commit_frozen()
            if not self.live.take_out(self._cache.prefix, partial(prove, self, self._cache)):
                self._cache = None

    def _look(self) -> None:
        """Feed one row, to see in which order the modules of the model run."""
        inputs, _ = self.collate()(self.open_split("train").read(np.array([0])))
        with torch.no_grad():
            feed(self.engine, inputs)

    def _restore(self, state: SavedState) -> None:
        """Put the weights and moments of a commit into a fresh engine. Collective."""
        cursor = self.cursor
        partitions.prime(self.engine, self._feed_once)
        self.live.forget_passes()
        trained = self.phases[state.manifest.cursor.phase].trainable
        new = self.phases[cursor.phase].trainable - trained
        partitions.restore_state(self.engine, state.read, self.place.rank, cursor.step, new)

    def _learned(self) -> frozenset[str]:
        """Name what learns, and what learned in an earlier phase."""
        return learned(self.phases, self.cursor.phase)

    def _read_newest(self) -> checkpoint.Manifest | None:
        """Read the commit to go on from; refuses one that this recipe would not continue."""
        if self.newest is None:
            return None
        saved = checkpoint.read_manifest(self.place.run_dir, self.newest)
        data, allow = self.manifest.fingerprint, self.place.allow_change
        return continued(saved, self.newest, self.recipe, data, allow_change=allow)

    def _commit_frozen(self) -> str | None:
        """Write the weights that never learned, once for the whole run; None without any."""
        place = self.place
        name = f"frozen.a{place.attempt:02d}"
        never = {n for n, _ in self.model.named_parameters()} - self._learned()
        if not never:
            return None
        pieces = partitions.frozen_pieces(self.engine, place.rank, place.world_size, never)
        checkpoint.commit(place.run_dir, name, pieces, self._manifest(learned=False), place.rank)
        return name

    def _manifest(self, *, learned: bool) -> checkpoint.Manifest:
        named, names = self.model.named_parameters(), self._learned()
        return checkpoint.Manifest(
            cursor=self.cursor,
            data_fingerprint=self.manifest.fingerprint,
            arithmetic=arithmetic(self.recipe),
            parameters={n: count_elements(p) for n, p in named if (n in names) == learned},
            buffers=self.live.buffer_sizes() if learned else {},
            frozen=self._frozen if learned else None,
            files=(),
        )

    def _feed_once(self) -> torch.Tensor:
        split = self.open_split("train")
        inputs, labels = self.collate()(split.read(np.array([0])))
        recorded = self._cache.shape.blank(fed_width(inputs)) if self._cache is not None else None
        outputs = feed(self.engine, inputs, recorded)
        return self.task.summed_loss(outputs, labels.to(self.engine.handle.device))
