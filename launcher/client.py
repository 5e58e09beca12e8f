"""The verbs of the command line for programs and notebooks; printing is left to the commands.

thaw = Thaw()
submitted = thaw.submit("recipe.yaml")
for record in thaw.follow(submitted.run):
    ...
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.auth import checked_address
from configs.errors import ClusterError, LockedError, NotFoundError, RecipeError, StorageError
from configs.load import (
    change_recipe,
    load_recipe,
    recipe_difference,
    recipe_from,
    recipe_path,
)
from configs.names import is_run_name
from configs.records import Ended, Record, split_lines
from configs.schema import Recipe
from launcher.backend import Backend, real_backend
from launcher.places import Listed, list_places
from launcher.progress import progress_of, standing
from launcher.tail import tail_lines
from launcher.whereabouts import (
    LIVE,
    Whereabouts,
    absolute,
    absolute_storage,
    refuse_no_folder,
)

if TYPE_CHECKING:
    from cluster.deletion import Belongings
    from cluster.diagnosis import Diagnosis
    from cluster.jobs import Verb
    from cluster.local import LocalCluster
    from cluster.runs import RunState

MAY_CHANGE = (
    "cluster",
    "zero",
    "checkpoint",
    "tracking",
    "batch.eval_microbatch_size",
    "faults.watchdog_s",
)
"""Keys that a resumed run may change: none of them changes the answer."""
STANDS = {
    "queued": "is queued",
    "preparing": "is preparing its data",
    "running": "is running",
    "stopped": "was stopped",
    "succeeded": "has succeeded",
    "failed": "has failed",
}
"""What is said of a run by its state."""


@dataclass(frozen=True)
class Submitted:
    """A job that was handed to a cluster."""

    run: str
    job_id: str
    address: str
    storage: str
    notes: tuple[str, ...] = ()
    """What is unusual about the data and the model, as far as they are seen from here."""


class Thaw:
    """One person's view of their runs and their cluster.

    `address` and `storage` come before what a recipe or a run says.
    """

    def __init__(
        self,
        address: str | None = None,
        storage: str | None = None,
        *,
        backend: Backend | None = None,
        confirm: Callable[[str], bool] = lambda question: False,
    ) -> None:
        """Look at the world from here; `confirm` asks the person whether a token may go out."""
        self.backend = backend or real_backend()
        folder = absolute_storage(storage) if storage is not None else None
        chosen = checked_address(address) if address is not None else None
        self.where = Whereabouts(self.backend, chosen, folder, confirm)

    def load(
        self, recipe: Recipe | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()
    ) -> Recipe:
        """Check a recipe given as a file or as values; raises RecipeError about all problems."""
        if isinstance(recipe, str | Path):
            path = recipe_path(recipe) if isinstance(recipe, str) else recipe
            recipe = load_recipe(path, overrides)
        elif not isinstance(recipe, Recipe):
            recipe = recipe_from(recipe)
        if self.where.storage is not None:
            recipe = recipe.model_copy(update={"storage": self.where.storage})
        return recipe

    def prepare(self, recipe: Recipe | Mapping[str, Any] | str | Path) -> Submitted:
        """Prepare the data of a recipe on the cluster."""
        from cluster.first_look import look_at

        loaded = self.load(recipe)
        notes = tuple(look_at(loaded, into_folders=False))
        refuse_no_folder(loaded.storage)
        return replace(self._submit("prepare", loaded, {}), notes=notes)

    def submit(self, recipe: Recipe | Mapping[str, Any] | str | Path) -> Submitted:
        """Start a run on the cluster; raises LockedError when its name is seen to be taken."""
        from cluster.first_look import look_at

        loaded = self.load(recipe)
        notes = tuple(look_at(loaded, into_folders=False))
        self.refuse_taken_name(loaded)
        return replace(self._submit("finetune", loaded, {}), notes=notes)

    def resume(
        self,
        run: str,
        overrides: Sequence[str] = (),
        *,
        allow_change: bool = False,
        force: bool = False,
    ) -> Submitted:
        """Go on with a stopped or failed run from its last commit, on other machines if asked.

        Raises RecipeError for a change that would change the answer, unless `allow_change`,
        LockedError for a run that is seen to go on, or somebody else's unless `force`.
        """
        self._refuse_others(run, "resume", force=force)
        changed = self.changed_recipe(run, overrides, allow_change=allow_change)
        self._refuse_live(run)
        allowed = {"allow_change": "yes"} if allow_change else {}
        return self._submit("finetune", changed, {"resume": "yes"} | allowed)

    def changed_recipe(
        self, run: str, overrides: Sequence[str], *, allow_change: bool = False
    ) -> Recipe:
        """Return the recipe that a run would go on with; raises what `resume` raises about it."""
        recipe = self.recipe(run)
        changed = change_recipe(recipe, overrides)
        fixed = [key for key in recipe_difference(recipe, changed) if not may_change(key)]
        if fixed and not allow_change:
            raise RecipeError(
                f"A resumed run keeps its answer, so {', '.join(fixed)} cannot change. "
                f"Submit a new run, change only {', '.join(MAY_CHANGE)}, or accept another answer "
                "with --allow-change."
            )
        return changed

    def evaluate(self, run: str, data: str | None = None) -> Submitted:
        """Evaluate a run's best weights on its test split, or on other files.

        Raises DataError for files on a disk of this machine that cannot be evaluated on.
        """
        from cluster.prediction_input import check_input

        if data is None:
            return self._on_run("evaluate", run, {})
        rows, recipe = absolute(data), self.recipe(run)
        check_input(recipe, rows, recipe.data.format)
        return self._on_run("evaluate", run, {"data": rows})

    def predict(
        self,
        run: str,
        source: str,
        output: str,
        *,
        overwrite: bool = False,
        skips_bad: bool = False,
        kind: str | None = None,
    ) -> Submitted:
        """Predict every row of a file with a run's export, else with its best commit.

        A row that cannot be predicted ends it, or with `skips_bad` is written with an error; `kind`
        is the input's format where its name does not tell it. Raises LockedError for an output that
        is there already, unless `overwrite`, RecipeError for one that names no format, DataError
        for an input on a disk of this machine that cannot be predicted, CheckpointError for a run
        that has neither an export nor a commit.
        """
        from cluster.outputs import refuse_no_weights, refuse_output
        from cluster.prediction_files import check_output
        from cluster.prediction_input import check_input

        arguments = {"input": absolute(source), "output": absolute(output)}
        if "://" not in arguments["output"]:  # the job looks at what only the cluster may see
            refuse_output(arguments["output"], arguments["input"], overwrite=overwrite)
        check_output(arguments["output"])
        state = self.status(run)
        if state.state != "succeeded":  # which has an export, and the job looks
            refuse_no_weights(state.storage, run, state.state)
        check_input(self.recipe(run), arguments["input"], kind or "auto")
        arguments |= {"overwrite": "yes"} if overwrite else {}
        arguments |= {"bad": "skip"} if skips_bad else {}
        arguments |= {"format": kind} if kind is not None else {}
        return self._on_run("predict", run, arguments)

    def export(self, run: str, folder: str, *, overwrite: bool = False) -> "Submitted | int":
        """Write a run's best weights as a Hugging Face folder.

        The export of a run that succeeded is copied at once where both places are seen from here;
        then its step is returned, else the job. Raises LockedError for a folder that is not empty;
        with `overwrite` an older export may be in it, whose files go and no others.
        """
        from cluster.outputs import export_here, refuse_export

        state, place = self.status(run), absolute(folder)
        if "://" not in place:  # the job looks at what only the cluster may see
            refuse_export(state.storage, run, place, overwrite=overwrite)
        if state.state == "succeeded":
            step = export_here(state.storage, run, place, overwrite=overwrite)
            if step is not None:
                return step
        allowed = {"overwrite": "yes"} if overwrite else {}
        return self._on_run("export", run, {"folder": place} | allowed)

    def stop(self, run: str, *, now: bool = False, force: bool = False) -> "RunState":
        """Ask a run to save, commit and stop; with `now` end its job within 20 s, saved or not.

        A run that has not begun is ended as with `now`: there is nothing to save.

        Raises LockedError for a run of somebody else, unless `force`.
        """
        state = self._refuse_others(run, "stop", force=force)
        located = self.backend.runs.locate_run(run)
        job_id = state.job_ids[-1] if state.job_ids else located.job_id if located else None
        if state.state not in LIVE:
            return state
        if not now and state.has_begun:
            self.backend.runs.request_stop(state.storage, run)
        elif job_id is not None:
            self.backend.jobs.stop_job(self.where.address_of_run(run), job_id)
        return state

    def belongings(self, run: str, *, force: bool = False) -> "Belongings":
        """Find what deleting a run would delete; raises LockedError where it may not be."""
        from cluster.deletion import find_belongings

        state = self._refuse_others(run, "delete", force=force)
        if self.where.is_live(state):
            raise LockedError(f"Run {run} is {state.state}. Stop it first: thaw stop {run}")
        return find_belongings(state.storage, run)

    def delete(self, run: str, *, force: bool = False) -> "Sequence[str]":
        """Delete a run; returns the paths of what is not ours in its folder, and stays.

        Raises LockedError for a run that is on, or somebody else's unless `force`.
        """
        from cluster.deletion import delete_run

        return delete_run(self._refuse_others(run, "delete", force=force).storage, run)

    def storage_to_clear(self, run: str, *, force: bool = False) -> str:
        """Return the storage of a run whose commits are to go, in part or in whole.

        Raises LockedError for somebody else's run, unless `force`.
        """
        return self._refuse_others(run, "clear", force=force).storage

    def watch(self, run: str) -> Iterator[Record | str]:
        """Yield what a run said so far, then what its job says until it has ended.

        What was said already may come twice.
        """
        live = True
        try:
            state = self.status(run)
            live = self.where.is_live(state)
            yield from self.metrics(run)
        except NotFoundError:
            if self.backend.runs.locate_run(run) is None:
                raise
        if live:
            located = self.where.located(run)
            yield from self.backend.jobs.follow(located.address, located.job_id)

    def wait(self, submitted: Submitted) -> Ended:
        """Wait until a job has ended."""
        entries = self.backend.jobs.follow(submitted.address, submitted.job_id)
        ended = [entry for entry in entries if isinstance(entry, Ended)]
        if not ended:
            raise ClusterError(
                f"Job {submitted.job_id} ended without saying how. See `thaw logs {submitted.run}`"
            )
        return ended[-1]

    def list(self) -> "Sequence[RunState]":
        """List the runs of the storage, or of all places to which runs were submitted from here."""
        return self.look_at_places().states

    def look_at_places(self) -> Listed:
        """List the same runs, and say which storages do not answer.

        Raises NotFoundError for a storage that was named and is not there.
        """
        located = self.backend.runs.located_runs()
        if self.where.storage is not None:
            listed = Listed(self.backend.runs.list_runs(self.where.storage), [])
        else:
            places = dict.fromkeys([absolute("runs"), *(one.storage for one in located.values())])
            listed = list_places([*places], self.backend.runs.list_runs)
        there = {(state.storage, state.name) for state in listed.states}
        new = [name for name, one in located.items() if (one.storage, name) not in there]
        waiting = [state for name in new if (state := self.where.queued(name)) is not None]
        return Listed([*listed.states, *waiting], listed.silent)

    def status(self, run: str) -> "RunState":
        """Read how a run stands, a new one as queued; raises NotFoundError for no such run."""
        try:
            return self.backend.runs.read_run(self.where.storage_of(run), run)
        except NotFoundError:
            if (waits := self.where.queued(run)) is not None:
                return waits
            raise

    def step_of(self, state: "RunState") -> int:
        """Give the optimizer steps a run has done; the state of a live run does not count them."""
        return state.step if state.state not in LIVE else self.standing(state)["step"]

    def standing(self, state: "RunState") -> dict[str, Any]:
        """Return how a run stands, for programs: its state, and how far and fast a live one is."""
        live = state.state in LIVE
        records: Iterable[Record] = ()
        if live:
            with suppress(StorageError):  # how far it is cannot be seen then, where it is can
                records = self.backend.runs.read_records(state.storage, state.name)
        return standing(state, progress_of(state.name, records), live=live)

    def why(self, run: str) -> "Diagnosis":
        """Say why a run failed or is slow, by its directory and, if it answers, its cluster."""
        from launcher.outside import diagnose_run

        return diagnose_run(self, run)

    def recipe(self, run: str) -> Recipe:
        """Read the recipe that a run was submitted with."""
        return self.backend.runs.read_run_recipe(self.where.storage_of(run), run)

    def metrics(self, run: str) -> Sequence[Record]:
        """Read all records of a run."""
        return [*self.backend.runs.read_records(self.status(run).storage, run)]

    def damage(self, run: str) -> "Sequence[str]":
        """Tell what is damaged in a run's directory and how that was got over, a sentence each."""
        state = self.status(run)
        return self.backend.runs.find_damage(state.storage, run) if state.has_begun else ()

    def silent_s(self, state: "RunState") -> float | None:
        """Return for how long the driver of a live run has given no sign of life, by our clock."""
        if state.state not in LIVE or not state.has_begun:
            return None
        return self.backend.runs.silent_s(self.where.storage_of(state.name), state)

    def log_files(self, run: str) -> dict[str, str]:
        """Give the addresses of a run's logs by a short name such as `a01/rank-0`."""
        storage = self.where.storage_of(run)
        self.backend.runs.read_run(storage, run)
        return self.backend.runs.log_files(storage, run)

    def job_log(
        self, run: str, job: str | None = None, *, follow: bool = False
    ) -> Iterator[Record | str]:
        """Yield the log of a job by records and lines; with `follow`, to its end.

        Without the id of a job it is the newest one that trained or trains the run.
        """
        from cluster.joblog import as_record

        if job is not None:
            address, shown = self.where.address_of_run(run), job
        else:
            located = self.where.located(run)
            address = located.address
            shown = located.job_id if follow else self.job_with_log(run, located.job_id)
        if follow:
            yield from self.backend.jobs.follow(address, shown)
        else:
            yield from map(as_record, split_lines(self.backend.jobs.job_log(address, shown)))

    def job_with_log(self, run: str, newest: str) -> str:
        """Return the id of the newest job that worked on a run; a refused one tells nothing."""
        try:
            state = self.status(run)
        except (NotFoundError, StorageError):
            return newest
        taken = not state.job_ids or newest in state.job_ids or self.where.is_live(state)
        return newest if taken else state.job_ids[-1]

    def worker_log(
        self, run: str, rank: int, attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[str]:
        """Give the lines of one worker's log; with `follow`, until the run has ended."""
        from cluster.logs import read_log

        wanted = f"a{attempt:02d}/rank-{rank}" if attempt else f"/rank-{rank}"
        found = [name for name in self.log_files(run) if name.endswith(wanted)]
        if not found:
            raise NotFoundError(
                f"Run {run} has no log {wanted.lstrip('/')}. See `thaw describe {run}`."
            )
        address = self.log_files(run)[found[-1]]
        return tail_lines(
            lambda start: read_log(address, start),
            lambda: follow and self.status(run).state in LIVE,
        )

    def find_set(self, place: str) -> str:
        """Find a prepared set: a folder or address that is one or holds one, or a run's name."""
        if "://" in place or os.path.isdir(place):
            return self.backend.data_sets.find_set(absolute(place))
        if not is_run_name(place):
            raise NotFoundError(
                f"{place or repr(place)} is neither a folder here nor the name of a run. Give the "
                "folder of a prepared set, or a run."
            )
        state = self.status(place)
        if state.data_dir is None:
            raise NotFoundError(
                f"Run {place} has no prepared data yet: it {STANDS[state.state]}. Wait for it, or "
                f"go on: thaw resume {place}"
            )
        return self.backend.data_sets.find_set(state.data_dir)

    def cluster_up(
        self, num_nodes: int = 2, cpus_per_node: int | None = None, *, host: str = "127.0.0.1"
    ) -> "LocalCluster":
        """Start a cluster on this machine; raises LockedError when one runs."""
        return self.backend.machines.start_local_cluster(num_nodes, cpus_per_node, host=host)

    def cluster_down(self) -> bool:
        """End the cluster on this machine; False when there was none."""
        return self.backend.machines.stop_local_cluster()

    def cluster(self) -> "LocalCluster | None":
        """Give the cluster on this machine if it runs."""
        return self.backend.machines.read_local_cluster()

    def refuse_taken_name(self, recipe: Recipe) -> None:
        """Refuse a name at once where the storage can be seen; the driver looks again."""
        refuse_no_folder(recipe.storage)
        try:
            state = self.backend.runs.read_run(recipe.storage, recipe.name)
        except NotFoundError:
            return
        if state.state != "failed":
            way = f", or go on: thaw resume {recipe.name}" if state.state == "stopped" else ""
            raise LockedError(
                f"The name {recipe.name} is taken in {recipe.storage}, by a run that "
                f"{STANDS[state.state]}. Choose another with --set name=...{way}"
            )

    def _refuse_live(self, run: str) -> None:
        """Refuse at once to resume a run whose driver is seen alive; the driver looks again."""
        state = self.status(run)
        if state.state not in LIVE or not state.job_ids:
            return
        try:
            located = self.where.located(run)
            job = self.backend.jobs.job_status(located.address, located.job_id)
        except (ClusterError, NotFoundError):
            return
        if job.state not in ("pending", "running"):
            return
        if self.backend.runs.shows_life(self.where.storage_of(run), state):
            raise LockedError(
                f"Run {run} is {state.state}: job {state.job_ids[-1]} works on it. Wait for it, or "
                f"stop it with `thaw stop {run}`"
            )

    def _refuse_others(self, run: str, verb: str, *, force: bool) -> "RunState":
        from cluster.owners import refuse_others

        state = self.status(run)
        refuse_others(run, state.owner, verb, force=force)
        return state

    def _on_run(self, verb: "Verb", run: str, arguments: dict[str, str]) -> Submitted:
        """Submit a job that works on a run that is there."""
        storage = self.status(run).storage
        recipe = self.backend.runs.read_run_recipe(storage, run)
        return self._submit(verb, recipe.model_copy(update={"storage": storage}), arguments)

    def _submit(self, verb: "Verb", recipe: Recipe, arguments: dict[str, str]) -> Submitted:
        from cluster.runs import Located

        known = self.backend.runs.locate_run(recipe.name)
        if arguments and known:
            address = self.where.address_of_located(known)
        else:
            address = self.where.address_of(recipe)
        if verb == "finetune":
            self.backend.runs.own_runs()  # nothing begins of which nobody would know
        job_id = self.backend.jobs.submit(address, verb, recipe, arguments)
        if verb == "finetune":
            confirmed = self.where.is_confirmed(address)
            located = Located(
                storage=recipe.storage,
                address=address,
                job_id=job_id,
                confirmed=confirmed,
                submitted=time.time(),
            )
            self.backend.runs.remember_run(recipe.name, located)
        return Submitted(recipe.name, job_id, address, recipe.storage)


def may_change(key: str) -> bool:
    """Say whether a resumed run may change a key of its recipe."""
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)
