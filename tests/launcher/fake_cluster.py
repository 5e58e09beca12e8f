"""A cluster in memory with the interface that the client asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from cluster import commits, data_sets
from cluster.diagnosis import NodeEvent
from cluster.inventory import Door
from cluster.jobs import Job, JobState, Verb
from cluster.local import LocalCluster
from cluster.preflight import Node
from cluster.runs import Located, RunState
from configs.errors import ClusterError, LockedError, NotFoundError
from configs.load import recipe_from
from configs.records import Record
from configs.schema import Recipe
from launcher.backend import Backend, Commits
from launcher.client import Thaw
from tests.launcher.made_up_run import SCORES, START, STORY

ADDRESS = "http://127.0.0.1:8265"

RECIPE = """\
name: small
model: {path: org/model}
task: {kind: text_classification}
data: {train: train.csv, validation: 10%}
"""


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe with its rows beside it."""
    (folder / "train.csv").write_text("text,label\na,b\n")
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


class FakeCluster:
    """Jobs, runs and machines in memory; what was asked of it is kept."""

    def __init__(self, story: tuple[Record | str, ...] = STORY) -> None:
        self.story = story
        self.submitted: list[tuple[str, str, Recipe, dict[str, str]]] = []
        self.states: dict[tuple[str, str], RunState] = {}
        self.recipes: dict[tuple[str, str], Recipe] = {}
        self.records: dict[str, list[Record]] = {}
        self.located: dict[str, Located] = {}
        self.logs: dict[str, str] = {}
        self.stopped: list[str] = []
        self.local: LocalCluster | None = None
        self.interrupts = False
        self.deaths: list[NodeEvent] = []
        self.damage: list[str] = []
        self.silent = 1.0
        self.job_state: JobState = "running"
        self.asked: list[str] = []
        self.busy: set[str] = set()

    def client(self, address: str | None = ADDRESS, storage: str | None = None) -> Thaw:
        return Thaw(
            address,
            storage,
            backend=Backend(
                jobs=self,
                inventory=self,
                runs=self,
                machines=self,
                data_sets=self,
                commits=cast(Commits, commits),
            ),
        )

    def add_run(
        self, storage: str, name: str = "small", state: str = "succeeded", **changes: object
    ) -> RunState:
        values = {
            "name": name,
            "state": state,
            "created": START,
            "updated": START + 372,
            "storage": storage,
            "attempts": 1,
            "job_ids": (f"{name}.01",),
            "metrics": SCORES if state == "succeeded" else {},
            "step": 1_120,
        }
        run = RunState.model_validate({**values, **changes})
        value = {
            "name": name,
            "storage": storage,
            "model": {"path": "org/model"},
            "task": {"kind": "text_classification"},
            "data": {"train": "train.csv", "validation": "10%"},
        }
        self.states[storage, name] = run
        self.recipes[storage, name] = recipe_from(value)
        self.records[name] = [entry for entry in self.story if not isinstance(entry, str)]
        self.located[name] = Located(storage=storage, address=ADDRESS, job_id=f"{name}.01")
        return run

    def _check(self, address: str) -> None:
        self.asked.append(address)
        if address != ADDRESS:
            raise ClusterError(f"No Ray dashboard answers at {address}")

    def submit(self, address: str, verb: Verb, recipe: Recipe, arguments: dict[str, str]) -> str:
        self.submitted.append((address, verb, recipe, arguments))
        taken = self.states.get((recipe.storage, recipe.name))
        number = len(self.submitted) + (len(taken.job_ids) if taken else 0)
        return f"{recipe.name}.{number:02d}"

    def follow(self, address: str, job_id: str) -> Iterator[Record | str]:
        yield from self.story
        if self.interrupts:
            raise KeyboardInterrupt

    def job_status(self, address: str, job_id: str) -> Job:
        return self.list_jobs(address)[0]

    def list_jobs(self, address: str) -> list[Job]:
        self._check(address)
        return [
            Job(
                job_id="small.01",
                run="small",
                verb="finetune",
                state=self.job_state,
                message="",
                storage="runs",
                started=START,
                ended=None,
            )
        ]

    def list_nodes_at(self, address: str) -> list[Node]:
        self._check(address)
        return [Node(host, host, {"CPU": 1.0}) for host in ("one", "two")]

    def list_free_at(self, address: str) -> list[Node]:
        return [
            Node(node.node_id, node.host, {"CPU": 0.0 if node.host in self.busy else 1.0})
            for node in self.list_nodes_at(address)
        ]

    def list_deaths_at(self, address: str) -> list[NodeEvent]:
        self._check(address)
        return self.deaths

    def look_at_door(self, address: str) -> Door:
        self._check(address)
        return Door("2.60.0", True, 0.2)

    def job_log(self, address: str, job_id: str) -> str:
        return f"log of {job_id}\nsecond line"

    def stop_job(self, address: str, job_id: str) -> bool:
        self.stopped.append(f"job {job_id}")
        return True

    def read_run(self, storage: str, name: str) -> RunState:
        if (storage, name) not in self.states:
            raise NotFoundError(f"There is no run {name} in {storage}. See `thaw list`")
        return self.states[storage, name]

    def list_runs(self, storage: str) -> list[RunState]:
        return [state for (place, _), state in self.states.items() if place == storage]

    def read_run_recipe(self, storage: str, name: str) -> Recipe:
        return self.recipes[storage, name]

    def read_records(self, storage: str, name: str) -> Iterator[Record]:
        yield from self.records.get(name, [])

    def find_damage(self, storage: str, name: str) -> list[str]:
        return self.damage

    def silent_s(self, storage: str, state: RunState) -> float:
        return self.silent

    def shows_life(self, storage: str, state: RunState) -> bool:
        return self.silent < 15.0

    def request_stop(self, storage: str, name: str) -> None:
        self.stopped.append(f"run {name}")

    def log_files(self, storage: str, name: str) -> dict[str, str]:
        return self.logs

    def own_runs(self) -> Path:
        return Path("runs")

    def remember_run(self, name: str, located: Located) -> None:
        self.located[name] = located

    def locate_run(self, name: str) -> Located | None:
        return self.located.get(name)

    def located_runs(self) -> dict[str, Located]:
        return self.located

    def start_local_cluster(
        self, num_nodes: int = 2, cpus_per_node: int | None = None, *, host: str = "127.0.0.1"
    ) -> LocalCluster:
        if self.local is not None:
            raise LockedError("A local cluster runs already. End it with `thaw cluster down`")
        self.local = LocalCluster(
            address=ADDRESS.replace("127.0.0.1", host),
            gcs_address="127.0.0.1:6379",
            processes=(),
            temp_dir="temp",
            token_path="token",
            num_nodes=num_nodes,
            cpus_per_node=cpus_per_node or 1,
        )
        return self.local

    def find_set(self, address: str) -> str:
        return data_sets.find_set(address)

    def inspect_set(self, data_dir: str, num_rows: int) -> data_sets.SetFacts:
        return data_sets.inspect_set(data_dir, num_rows)

    def find_problems(self, data_dir: str, deep: bool) -> list[str]:
        return data_sets.find_problems(data_dir, deep)

    def report_page(self, data_dir: str) -> str:
        return data_sets.report_page(data_dir)

    def stop_local_cluster(self) -> bool:
        was, self.local = self.local is not None, None
        return was

    def read_local_cluster(self) -> LocalCluster | None:
        return self.local

    def count_live_nodes(self, cluster: LocalCluster) -> int:
        return cluster.num_nodes
