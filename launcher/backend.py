"""What the client needs of the cluster, as six interfaces; tests hand in their own.

The real ones are modules of the room next door, imported when a command first needs them.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from configs.records import Record
from configs.schema import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.commits import CommitFacts
    from cluster.data_sets import SetFacts
    from cluster.diagnosis import NodeEvent
    from cluster.inventory import Door
    from cluster.jobs import Job, Verb
    from cluster.local import LocalCluster
    from cluster.preflight import Node
    from cluster.runs import Located, RunState


class Jobs(Protocol):
    """Jobs of a cluster (cluster.jobs)."""

    def submit(self, address: str, verb: "Verb", recipe: Recipe, arguments: dict[str, str]) -> str:
        """Submit a job and give its id."""

    def follow(self, address: str, job_id: str) -> Iterator[Record | str]:
        """Yield the job's records as they come, an Ended record last."""

    def job_status(self, address: str, job_id: str) -> "Job":
        """Ask how a job stands."""

    def list_jobs(self, address: str) -> "list[Job]":
        """List the jobs that the cluster remembers, oldest first."""

    def job_log(self, address: str, job_id: str) -> str:
        """Give the whole log of a job as it stands."""

    def stop_job(self, address: str, job_id: str) -> bool:
        """End a job at once; False when it had ended already."""


class Inventory(Protocol):
    """Nodes of a cluster (cluster.inventory)."""

    def list_nodes_at(self, address: str) -> "list[Node]":
        """List the nodes that are alive, the head first."""

    def list_free_at(self, address: str) -> "list[Node]":
        """List the nodes that are alive with what groups of workers leave of them now."""

    def list_deaths_at(self, address: str) -> "list[NodeEvent]":
        """List the nodes that are dead, as far as the cluster remembers."""

    def look_at_door(self, address: str) -> "Door":
        """Say what a cluster tells everybody who knocks."""


class Runs(Protocol):
    """Run directories (cluster.runs)."""

    def read_run(self, storage: str, name: str) -> "RunState":
        """Read how a run stands."""

    def list_runs(self, storage: str) -> "list[RunState]":
        """Read all runs of a storage, oldest first."""

    def read_run_recipe(self, storage: str, name: str) -> Recipe:
        """Read the recipe that a run was submitted with."""

    def read_records(self, storage: str, name: str) -> Iterator[Record]:
        """Yield the records that are there."""

    def find_damage(self, storage: str, name: str) -> list[str]:
        """Tell which of run.json and recipe.yaml others had to stand in for, a sentence each."""

    def silent_s(self, storage: str, state: "RunState") -> float:
        """Return for how long the driver of a live run has given no sign of life."""

    def shows_life(self, storage: str, state: "RunState") -> bool:
        """Watch a run for a sign of life of its driver."""

    def request_stop(self, storage: str, name: str) -> None:
        """Ask a run to commit and stop."""

    def log_files(self, storage: str, name: str) -> dict[str, str]:
        """Give the log files by a short name such as `a01/rank-0`."""

    def own_runs(self) -> "Path":
        """Make the folder in which this person's runs are noted."""

    def remember_run(self, name: str, located: "Located") -> None:
        """Note where a run is, for later commands of this person."""

    def locate_run(self, name: str) -> "Located | None":
        """Give where this person's run is."""

    def located_runs(self) -> "dict[str, Located]":
        """Give all runs that were submitted from here, by name."""


class Commits(Protocol):
    """Commits of a run (cluster.commits)."""

    def list_facts(self, storage: str, name: str) -> "list[CommitFacts]":
        """Say what commits a run has, oldest first."""

    def find_damage(self, storage: str, name: str) -> dict[str, list[str]]:
        """Say what is damaged in each commit."""

    def choose_surplus(
        self, storage: str, name: str, keep_last: int | None, keep_best: int | None
    ) -> "list[CommitFacts]":
        """Choose the commits that may go."""

    def delete_commits(self, storage: str, name: str, names: Sequence[str]) -> None:
        """Delete commits of a run."""

    def optimizer_bytes(self, storage: str, name: str) -> dict[str, int]:
        """Return how many bytes would go with the optimizer state of each commit."""

    def drop_optimizer(self, storage: str, name: str) -> int:
        """Drop the optimizer state of a run that succeeded; return the bytes freed."""

    def goes_on(self, storage: str, name: str) -> bool:
        """Return whether a step can follow the newest commit."""


class DataSets(Protocol):
    """Prepared sets (cluster.data_sets)."""

    def find_set(self, address: str) -> str:
        """Find the one prepared set at or below an address."""

    def inspect_set(self, data_dir: str, num_rows: int) -> "SetFacts":
        """Say what is in a prepared set, with some of its rows."""

    def find_problems(self, data_dir: str, deep: bool) -> list[str]:
        """Say all that is wrong with a prepared set."""

    def report_page(self, data_dir: str) -> str:
        """Give the report of a prepared set as HTML."""


class Machines(Protocol):
    """The cluster on this machine (cluster.local)."""

    def start_local_cluster(
        self, num_nodes: int = 2, cpus_per_node: int | None = None, *, host: str = "127.0.0.1"
    ) -> "LocalCluster":
        """Start a cluster and wait until every node takes jobs."""

    def stop_local_cluster(self) -> bool:
        """End the local cluster; False when there was none."""

    def read_local_cluster(self) -> "LocalCluster | None":
        """Give the local cluster if its head is alive."""

    def count_live_nodes(self, cluster: "LocalCluster") -> int:
        """Count the nodes whose processes are alive."""


@dataclass(frozen=True)
class Backend:
    """Everything that a client asks of others."""

    jobs: Jobs
    inventory: Inventory
    runs: Runs
    machines: Machines
    data_sets: DataSets
    commits: Commits


def real_backend() -> Backend:
    """Import the modules that talk to a real cluster."""
    return Backend(
        jobs=cast(Jobs, importlib.import_module("cluster.jobs")),
        inventory=cast(Inventory, importlib.import_module("cluster.inventory")),
        runs=cast(Runs, importlib.import_module("cluster.runs")),
        machines=cast(Machines, importlib.import_module("cluster.local")),
        data_sets=cast(DataSets, importlib.import_module("cluster.data_sets")),
        commits=cast(Commits, importlib.import_module("cluster.commits")),
    )
