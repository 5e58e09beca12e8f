"""Find the cluster and the storage of a run: as told, as remembered, or as the default says."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from configs.addresses import check_address, expanded, is_of_the_system
from configs.errors import ClusterError, NotFoundError, RecipeError
from configs.schema import Recipe
from launcher.backend import Backend

if TYPE_CHECKING:
    from cluster.runs import Located, RunState

LIVE = ("queued", "preparing", "running")
SILENT_S = 30.0
"""Silence of a driver up to which it is taken to be alive: it speaks every 5 s."""
NEW_S = 120.0
"""For how long a submitted run may have no directory yet: its driver starts."""


@dataclass(frozen=True)
class Whereabouts:
    """Where to look; `address` and `storage` come before what a recipe or a run says."""

    backend: Backend
    address: str | None
    storage: str | None
    confirm: Callable[[str], bool] = lambda question: False
    """Ask the person something; who cannot be asked says no."""
    allowed: set[str] = field(default_factory=set)
    """Addresses to which the person let their token go when asked."""

    def address_of(self, recipe: Recipe) -> str:
        """Find the cluster for a recipe.

        Raises ClusterError when none is named, and where a recipe alone, which may be somebody
        else's, names the place to which this person's token would go.
        """
        from cluster.auth import resolve_address

        return self._admitted(resolve_address(self.address, recipe.cluster.address))

    def is_confirmed(self, address: str) -> bool:
        """Whether the person named an address, or used it before; it may have their token."""
        from cluster.auth import named_by_owner

        known = self.backend.runs.located_runs().values()
        used = any(one.confirmed and one.address == address for one in known)
        told = address == self.address or address in self.allowed
        return told or used or named_by_owner(address)

    def address_of_located(self, located: "Located") -> str:
        """Return the address of the cluster that carries a run which was submitted from here."""
        return self.address or self._admitted(located.address)

    def _admitted(self, address: str) -> str:
        from cluster.auth import find_token

        if self.is_confirmed(address) or (token := find_token(address)) is None:
            return address
        asked = f"Nobody but the recipe names the cluster {address}. Send it {token.origin}?"
        if self.confirm(asked):
            self.allowed.add(address)
            return address
        raise ClusterError(
            f"Nobody but the recipe names the cluster {address}, and it would get the token of "
            f"{token.origin}. If that is meant, say so once with --address {address}"
        )

    def address_of_run(self, run: str) -> str:
        """Find the cluster that carries a run."""
        located = self.backend.runs.locate_run(run)
        if located is not None:
            return self.address_of_located(located)
        if self.address:
            return self.address
        return self.address_of(self.backend.runs.read_run_recipe(self.storage_of(run), run))

    def storage_of(self, run: str) -> str:
        """Find the storage that holds a run."""
        if self.storage is not None:
            return self.storage
        located = self.backend.runs.locate_run(run)
        return located.storage if located is not None else absolute("runs")

    def located(self, run: str) -> "Located":
        """Find storage, cluster and newest job of a run; raises NotFoundError for no such run."""
        from cluster.runs import Located

        known = self.backend.runs.locate_run(run)
        if known is not None:
            return known.model_copy(update={"address": self.address_of_located(known)})
        state = self.backend.runs.read_run(self.storage_of(run), run)
        if not state.job_ids:
            raise NotFoundError(f"Run {run} has no job yet. See `thaw status {run}`.")
        address = self.address_of_run(run)
        return Located(storage=state.storage, address=address, job_id=state.job_ids[-1])

    def queued(self, run: str) -> "RunState | None":
        """Return the state of a run that was just submitted and whose driver has not begun."""
        from cluster.runs import RunState

        known = self.backend.runs.locate_run(run)
        if known is None or time.time() - known.submitted > NEW_S:
            return None
        if self.storage not in (None, known.storage) or not self._works(known):
            return None
        return RunState(
            name=run,
            state="queued",
            created=known.submitted,
            updated=known.submitted,
            storage=known.storage,
            job_ids=(known.job_id,),
        )

    def is_live(self, state: "RunState") -> bool:
        """Say whether a job works on a run, or was submitted to and has not taken it over yet."""
        if state.state in LIVE:
            return True
        known = self.backend.runs.locate_run(state.name)
        if known is None or known.job_id in state.job_ids:
            return False
        return self._works(known)

    def _works(self, located: "Located") -> bool:
        try:
            job = self.backend.jobs.job_status(self.address_of_located(located), located.job_id)
        except (ClusterError, NotFoundError):
            return False
        return job.state in ("pending", "running")


def absolute(address: str) -> str:
    """Make a local path absolute; the cluster has another current folder.

    Raises RecipeError for what is no address of a file or folder.
    """
    check_address(address)
    return address if "://" in address else check_address(os.path.abspath(expanded(address)))


def absolute_storage(address: str) -> str:
    """Make the address of a storage absolute; raises RecipeError for what can hold no runs."""
    whole = absolute(address)
    refuse_no_folder(whole)
    return whole


def refuse_no_folder(address: str) -> None:
    """Raise RecipeError where this machine sees something else in the place of a storage.

    A folder that is not there yet is made by the run.
    """
    if "://" in address and not address.startswith("file:///"):
        return
    path = Path(address.removeprefix("file://"))
    there = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    if os.path.lexists(there) and not there.is_dir():
        what = "a link that leads nowhere" if there.is_symlink() else "no folder"
        raise RecipeError(f"storage ({address}): {there} is {what}. Name a folder for runs.")
    if is_of_the_system(os.path.realpath(there)):
        raise RecipeError(
            f"storage ({address}) leads to {os.path.realpath(there)}, a place of the system that "
            "holds no files. Name another folder."
        )
