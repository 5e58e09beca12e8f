"""Hold one rank's live run: model, engine, cursor; open it fresh or from a commit, and commit it.

The loop that moves it forward stands in finetune.py.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import torch

from configs.errors import CheckpointError, StorageError, TrainingError
from configs.records import Note, Record
from configs.schema import Recipe
from trainers import partitions
from trainers.checkpoint import find_good_commit
from trainers.commit_thread import Part
from trainers.committing import Commits
from trainers.data.batches import Collate, batching
from trainers.data.lane_rows import OpenRecording
from trainers.data.store import Manifest as Prepared
from trainers.data.store import Split, SplitName, load_manifest, open_split
from trainers.engine import (
    Engine,
    refuse_no_offload_folder,
    running_stage,
    start_distributed,
)
from trainers.live_model import LiveModel
from trainers.live_state import copy_state, frozen_part
from trainers.manifest import Cursor, Manifest, checkpoint_name, read_manifest, step_of
from trainers.optimizer_state import require_optimizer
from trainers.padding_rehearsal import settle_padding
from trainers.place import Place
from trainers.prefix_cache import PrefixCache, leave, open_cache, prove
from trainers.rehearsal import feed_rows, first_losses
from trainers.retention import Policy, delete_leftovers, newer_than, policy_of
from trainers.saved_state import SavedState, continued, read_best
from trainers.strategy.phases import births, choose_phases, learned
from trainers.tasks import functions_of
from trainers.tasks.generation import build_writer
from trainers.tasks.judging import Setting
from trainers.tasks.remarks import remarks_of
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
        refuse_no_offload_folder(recipe.zero)
        self.recipe = recipe
        self.place = place
        self.task = functions_of(recipe.task)
        self.manifest = load_manifest(place.data_dir)
        newest, problems = find_good_commit(place.run_dir, place.rank, place.world_size)
        if newest is None and problems:
            raise CheckpointError(
                f"no commit of {place.run_dir} can be loaded: {problems[0]}. Start a new run"
            )
        if training:
            saved = self._read_to_continue(newest)
        else:
            newest, saved = read_best(place.run_dir, newest)
        self.cursor = saved.cursor if saved is not None else Cursor()
        self.frozen = saved.frozen if saved is not None else None
        self._cache: PrefixCache | None = None
        self._may_cache = training
        self._told_idle: frozenset[str] = frozenset()
        self._noted: set[str] = set()
        self._processor: Any = None
        self._outside = report
        self._open_files(newest, training=training)
        if problems:
            self._tell_damage(problems)
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

    def note_once(self, text: str) -> None:
        """Report one sentence for a person, unless this session has."""
        if text not in self._noted:
            self._noted.add(text)
            self.note(text)

    def _tell_damage(self, problems: Sequence[str]) -> None:
        step = self.cursor.step
        text = f"{'. '.join(problems)}. The commit before it is used: step {step:,}"
        note = {"time": time.time(), "level": "warning", "text": text}
        self.report(Note.model_validate({**note, "event": "fell_back", "step": step}))

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

    def open_split(
        self, name: SplitName, data_dir: str = "", manifest: Prepared | None = None
    ) -> Split:
        """Open a split of the prepared set, or of another; raises DataError where it has none."""
        cache_bytes = int(self.recipe.cluster.cache_gib * 2**30)
        where, manifest = data_dir or self.place.data_dir, manifest or self.manifest
        return open_split(where, manifest, name, cache_bytes=cache_bytes)

    def collate(self, *, packing: bool = False) -> Collate:
        """Give the function that turns shard rows into tensors."""
        given = batching(self.recipe, self.manifest, packing=packing)
        return self.task.collate(self.recipe.task, given)

    def recordings(self, split: SplitName) -> OpenRecording | None:
        """Give what opens the recordings that stand for the frozen prefix of the model."""
        return self._cache.opener(split) if self._cache is not None else None

    def learned(self) -> frozenset[str]:
        """Name what learns, and what learned in an earlier phase."""
        return learned(self.phases, self.cursor.phase)

    def blank(self, width: int, num_rows: int) -> torch.Tensor | None:
        """Give an empty recording where a prefix is taken out of the model, None elsewhere."""
        return self._cache.shape.blank(width, num_rows) if self._cache is not None else None

    def advance(self, **changes: object) -> None:
        """Move the cursor."""
        self.cursor = self.cursor.model_copy(update=changes)

    def commit(self) -> None:
        """Commit what is: it is copied now, and written while training goes on.

        Collective: every rank calls this. Raises StorageError on all ranks when the commit before
        could not be written.
        """
        self.commits.settle()
        started, step = time.monotonic(), self.cursor.step
        name = checkpoint_name(step, self.place.attempt)
        if self.cursor.best.is_at(step) and not self.recipe.exports_last:
            self.advance(best_checkpoint=name)
        parts = [*self._frozen_parts(), copy_state(self, name)]
        self.commits.begin(parts, self._policy(), started)

    def is_committed(self) -> bool:
        """Say whether the newest commit is of the step that training stands at."""
        newest = self.commits.newest
        return newest is not None and step_of(newest) == self.cursor.step

    def load_best(self) -> Cursor:
        """Put the weights that are to be exported into the live engine; returns their cursor.

        Collective: every rank calls this.
        """
        self.commits.settle()
        name = self.cursor.best_checkpoint
        if name is None or self.cursor.best.is_at(self.cursor.step):
            return self.cursor
        if not self.live.frozen_unchanged():
            raise TrainingError(
                "a frozen weight changed during training, which must never be. Report this as a "
                "defect"
            )
        saved = SavedState(self.place.run_dir, name)
        partitions.restore_weights(self.engine, saved.read, self.place.rank, saved.sizes)
        self.live.take_back(saved.read)
        return saved.manifest.cursor

    def rebuild(self) -> None:
        """Build the engine of the cursor's phase, with the state of the newest commit.

        Collective: every rank calls this. What is new begins with moments of 0.
        """
        self.commits.settle()
        newest = self.commits.newest
        assert newest is not None
        self.engine.handle.destroy()
        self._build()
        self._restore(SavedState(self.place.run_dir, newest))

    def make_whole(self) -> None:
        """Put a prefix back that was taken out of the model. Collective: every rank calls this."""
        self._may_cache = False
        if not self.live.is_whole:
            self.rebuild()

    def close(self) -> None:
        """Let go of files; the process group stays."""
        self.commits.close()
        if self.tracker is not None:
            self.tracker.close()

    def _open_files(self, newest: str | None, *, training: bool) -> None:
        """Open what is written from here on, records and commits. Collective."""
        place = self.place
        self.tracker = (
            Tracker(
                place.run_dir,
                self.recipe,
                resumed_from_step=self.cursor.step,
                attempt=place.attempt,
                notes=self.manifest.report.notes,
                claim=place.claim,
            )
            if place.rank == 0 and training
            else None
        )
        self.commits = Commits(place, self.recipe.checkpoint, self.report, self._flush)
        self.commits.newest = newest
        if self.leads and training:
            with suppress(StorageError):  # the others wait for nothing here
                self.commits.damaged = newer_than(place.run_dir, newest)
                delete_leftovers(place.run_dir, place.attempt)

    def _open(self, saved: Manifest | None, *, training: bool) -> None:
        """Build model and engine, with the weights and moments of a commit where there is one."""
        recipe, place = self.recipe, self.place
        self.live = LiveModel(recipe, place, self.manifest.label_names)
        self.phases = choose_phases(self.model, recipe.freezing, self.live.head, recipe.epochs)
        state = None
        if saved is not None:
            assert self.commits.newest is not None
            state = SavedState(place.run_dir, self.commits.newest)
            stage = running_stage(recipe)
            partitions.write_model_weights(self.model, state.read, stage, place.rank, state.sizes)
            self.live.read_buffers(state.read)
        self._build()
        if state is not None and training:
            self._restore(state)
        for text in remarks_of(self.model):
            self.note(text)
        if self.engine.stage != recipe.zero.stage:
            self.note("half precision runs ZeRO stage 0 as stage 1: same numbers, less memory")

    def _build(self) -> None:
        """Build the engine of the cursor's phase, without a prefix that is recorded. Collective."""
        number, starts = self.cursor.phase, self.cursor.phase_starts
        born = births(self.phases, number, starts)
        look = partial(first_losses, self)
        prefix = self.live.build(self.phases[number].trainable, born, self.learned(), look)
        if self._may_cache and (idle := self.live.idle - self._told_idle):
            self._told_idle |= idle
            self.note(_stay(idle))
        settle_padding(self)
        self._cache = open_cache(self, prefix) if self._may_cache else None
        if self._cache is not None:
            # While they are in the model.
            self.commits.write(self._frozen_parts(), self._policy())
            if not self._take_out(self._cache):
                self._cache = None
                leave(self, "the blocks behind the frozen prefix of this model read more than it")

    def _take_out(self, cache: PrefixCache) -> bool:
        """Take the prefix out of the model as a proof allows; False where none does. Collective."""
        proven = partial(prove, self, cache)
        # What is of another shape than the recording may be read beside it: position biases.
        choices = [frozenset[str](), *([cache.probe.others] if cache.probe.others else [])]
        return any(self.live.take_out(cache.prefix, proven, keep) for keep in choices)

    def _restore(self, state: SavedState) -> None:
        """Put the weights and moments of a commit into a fresh engine. Collective."""
        cursor = self.cursor
        partitions.prime(self.engine, self._feed_once)
        self.live.forget_passes()
        trained = self.phases[state.manifest.cursor.phase].trainable
        new = self.phases[cursor.phase].trainable - trained
        moves = partial(cursor.mishaps.moves, cursor.step)
        partitions.restore_state(self.engine, state.read, self.place.rank, moves, new)

    def _read_to_continue(self, newest: str | None) -> Manifest | None:
        """Read the commit to go on from; refuses one that this recipe would not continue."""
        if newest is None:
            return None
        saved = read_manifest(self.place.run_dir, newest)
        require_optimizer(self.place.run_dir, newest, saved)
        data, allow = self.manifest.fingerprint, self.place.allow_change
        return continued(saved, newest, self.recipe, data, allow_change=allow)

    def _frozen_parts(self) -> list[Part]:
        """Give the weights that never learn, where they are not written yet: once for a run."""
        name = f"frozen.a{self.place.attempt:02d}"
        part = frozen_part(self, name) if self.frozen is None else None
        if part is None:
            return []
        self.frozen = name
        return [part]

    def _policy(self) -> Policy:
        return policy_of(self.recipe, self.cursor.best_metric)

    def _flush(self) -> None:
        """Bring the records so far to the storage."""
        if self.tracker is not None:
            self.tracker.flush()

    def _feed_once(self) -> torch.Tensor:
        fed = feed_rows(self, "train", [0])
        return self.task.summed_loss(fed.outputs, fed.labels)


def _stay(idle: frozenset[str]) -> str:
    """Say what learns in vain."""
    names = sorted(idle)
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"{len(names)} tensors that learn take no part in the loss of the first rows, and stay as "
        f"they are until they do: {shown}"
    )
