"""Find the cluster and the storage of a run: as told, as remembered, or as the default says."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import ClusterError, NotFoundError
from configs.schema import Recipe
from launcher.backend import Backend

if TYPE_CHECKING:
    from cluster.runs import Located, RunState

LIVE = ("queued", "preparing", "running")


@dataclass(frozen=True)
class Whereabouts:
    """Where to look; `address` and `storage` come before what a recipe or a run says."""

    backend: Backend
    address: str | None
    storage: str | None

    def address_of(self, recipe: Recipe) -> str:
        """Find the cluster for a recipe; raises ClusterError when none is named."""
        from cluster.auth import resolve_address

        return resolve_address(self.address, recipe.cluster.address)

    def address_of_run(self, run: str) -> str:
        """Find the cluster that carries a run."""
        located = self.backend.runs.locate_run(run)
        if self.address or located:
            return self.address or (located.address if located else "")
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
            return known.model_copy(update={"address": self.address or known.address})
        state = self.backend.runs.read_run(self.storage_of(run), run)
        if not state.job_ids:
            raise NotFoundError(f"Run {run} has no job yet. See `thaw status {run}`.")
        address = self.address_of_run(run)
        return Located(storage=state.storage, address=address, job_id=state.job_ids[-1])

    def is_live(self, state: "RunState") -> bool:
        """Say whether a job works on a run, or was submitted to and has not taken it over yet."""
        if state.state in LIVE:
            return True
        known = self.backend.runs.locate_run(state.name)
        if known is None or known.job_id in state.job_ids:
            return False
        try:
            job = self.backend.jobs.job_status(self.address or known.address, known.job_id)
        except (ClusterError, NotFoundError):
            return False
        return job.state in ("pending", "running")


def absolute(address: str) -> str:
    """Make a local path absolute; the cluster has another current folder."""
    return address if "://" in address else os.path.abspath(os.path.expanduser(address))
