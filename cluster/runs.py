"""Read and write a run's directory: its state, who works on it, its records, its stop request.

The directory is the truth about a run. The driver alone writes the state; everybody may read it.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.auth import thaw_home
from cluster.lock import BEAT_LIMIT_S, beats, claim, list_claims
from cluster.packages import changed_packages, installed_packages
from cluster.tail import RecordTail
from configs.errors import LockedError, NotFoundError, RecipeError, StorageError
from configs.load import recipe_from, recipe_to_yaml
from configs.records import Ended, Record, read_record
from configs.schema import Recipe
from configs.yaml_text import read_yaml
from trainers import storage as files

State = Literal["queued", "preparing", "running", "succeeded", "failed", "stopped"]
LIVE = ("queued", "preparing", "running")
POLL_S = 0.3


class RunState(BaseModel):
    """How a run stands; the content of run.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    name: str
    state: State
    created: float
    """Seconds since the epoch, as all times here."""
    updated: float
    storage: str
    attempts: int = 0
    job_ids: tuple[str, ...] = ()
    packages: dict[str, str] = {}
    """Versions of what computed the run so far; empty for runs of old."""
    data_dir: str | None = None
    message: str = ""
    error: str | None = None
    exit_code: int | None = None
    metrics: dict[str, float] = {}
    step: int = 0


class Located(BaseModel):
    """Where the commands of this person find a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    storage: str
    address: str
    job_id: str


def run_directory(storage: str, name: str) -> str:
    """Give the address of a run's directory."""
    return files.join(storage, name)


def create_run(storage: str, recipe: Recipe, job_id: str) -> RunState:
    """Take the name and write the first state.

    A name is free again when its run failed before its first commit. Raises LockedError when the
    name is taken, StorageError when the storage cannot be written.
    """
    folder = run_directory(storage, recipe.name)
    claims = list_claims(folder)
    if claims and not _left_nothing(storage, recipe.name):
        raise LockedError(
            f"The name {recipe.name} is taken in {storage}. Choose another name, or go on with "
            f"`thaw resume {recipe.name}`"
        )
    claim(folder, len(claims) + 1, job_id)
    for leftover in ("metrics.jsonl", "ledger.jsonl", "tensorboard", "logs"):
        files.delete(files.join(folder, leftover))
    files.write_atomically(files.join(folder, "recipe.yaml"), recipe_to_yaml(recipe).encode())
    now = time.time()
    state = RunState(
        name=recipe.name,
        state="queued",
        created=now,
        updated=now,
        storage=storage,
        job_ids=(job_id,),
        packages=installed_packages(),
    )
    return write_state(state)


def take_over_run(
    storage: str,
    recipe: Recipe,
    job_id: str,
    beat_limit_s: float = BEAT_LIMIT_S,
    *,
    allow_change: bool = False,
) -> RunState:
    """Go on with a run that nobody works on, with a recipe that may ask for other machines.

    Raises NotFoundError for an unknown run, LockedError when its driver is alive, RecipeError when
    other packages are installed than computed it so far, unless `allow_change`.
    """
    name = recipe.name
    state = read_run(storage, name)
    folder = run_directory(storage, name)
    packages = installed_packages()
    if not allow_change:
        _refuse_other_packages(state, packages)
    claims = list_claims(folder)
    if state.state in LIVE and beats(folder, beat_limit_s):
        raise LockedError(
            f"Run {name} is {state.state}: job {state.job_ids[-1]} works on it. Wait for it, or "
            f"stop it with `thaw stop {name}`"
        )
    claim(folder, len(claims) + 1, job_id)
    clear_stop_request(storage, name)
    files.write_atomically(files.join(folder, "recipe.yaml"), recipe_to_yaml(recipe).encode())
    known = tuple(known for known in state.job_ids if known != job_id)
    return change_state(
        state,
        state="queued",
        job_ids=(*known, job_id),
        packages=packages,
        exit_code=None,
        error=None,
        message="",
    )


def _refuse_other_packages(state: RunState, packages: dict[str, str]) -> None:
    changed = changed_packages(state.packages, packages)
    if changed:
        raise RecipeError(
            f"run {state.name} was computed with other packages: {'; '.join(changed)}. Install "
            "those again, or accept another answer with --allow-change"
        )


def write_state(state: RunState) -> RunState:
    """Write run.json."""
    address = files.join(run_directory(state.storage, state.name), "run.json")
    files.write_atomically(address, state.model_dump_json(indent=1).encode())
    return state


def change_state(before: RunState, **changes: object) -> RunState:
    """Write run.json with some fields changed."""
    return write_state(
        RunState.model_validate({**before.model_dump(), **changes, "updated": time.time()})
    )


def read_run(storage: str, name: str) -> RunState:
    """Read how a run stands; raises NotFoundError when there is none."""
    address = files.join(run_directory(storage, name), "run.json")
    try:
        data = files.read_bytes(address)
    except NotFoundError as error:
        raise NotFoundError(f"There is no run {name} in {storage}. See `thaw list`") from error
    try:
        return RunState.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(f"{address} holds no state of a run. Was it changed by hand?") from error


def read_run_recipe(storage: str, name: str) -> Recipe:
    """Read the recipe that a run was submitted with."""
    folder = run_directory(storage, name)
    text = files.read_bytes(files.join(folder, "recipe.yaml")).decode()
    return recipe_from(read_yaml(text)[0])


def list_runs(storage: str) -> list[RunState]:
    """Read all runs of a storage, oldest first; folders that are no run are passed over."""
    states = []
    for name in files.list_names(storage):
        if files.exists(files.join(storage, name, "run.json")):
            states.append(read_run(storage, name))
    return sorted(states, key=lambda state: state.created)


def read_records(storage: str, name: str) -> Iterator[Record]:
    """Yield the records that are there; a last line that is being written is left out."""
    address = files.join(run_directory(storage, name), "metrics.jsonl")
    if not files.exists(address):
        return
    text = files.read_bytes(address).decode(errors="replace")
    for line in text[: text.rfind("\n") + 1].splitlines():
        yield read_record(line)


def follow_records(
    storage: str, name: str, wait: Callable[[float], None] = time.sleep
) -> Iterator[Record]:
    """Yield the records that are there and those that come, until the run ended.

    An Ended record that is followed by another attempt (the run was resumed) does not end it.
    """
    tail = RecordTail(files.join(run_directory(storage, name), "metrics.jsonl"))
    while True:
        live = read_run(storage, name).state in LIVE
        entries = [read_record(line) for line in tail.new_lines()]
        yield from entries
        if not live or (entries and isinstance(entries[-1], Ended)):
            return
        wait(POLL_S)


def append_record(storage: str, name: str, record: Record) -> None:
    """Append one record to metrics.jsonl; only while no attempt runs, which writes there too."""
    address = files.join(run_directory(storage, name), "metrics.jsonl")
    files.append_lines(address, [record.model_dump_json()])


def request_stop(storage: str, name: str) -> None:
    """Ask a run to commit and stop; raises NotFoundError when there is no such run."""
    read_run(storage, name)
    files.write_atomically(_stop_address(storage, name), b"{}\n")


def stop_requested(storage: str, name: str) -> bool:
    """Say whether somebody asked the run to stop."""
    return files.exists(_stop_address(storage, name))


def clear_stop_request(storage: str, name: str) -> None:
    """Forget a stop request, at the start of a resumed run and at the end of a stopped one."""
    files.delete(_stop_address(storage, name))


def newest_commit_step(storage: str, name: str) -> int | None:
    """Give the step of the newest commit, by its name; None when there is none."""
    checkpoints = files.join(run_directory(storage, name), "checkpoints")
    steps = [
        int(match.group(1))
        for folder in files.list_names(checkpoints)
        if (match := re.match(r"step-(\d+)\.", folder))
        and files.exists(files.join(checkpoints, folder, "MANIFEST.json"))
    ]
    return max(steps, default=None)


def log_files(storage: str, name: str) -> dict[str, str]:
    """Give the log files by a short name such as `a01/rank-0`, in order."""
    logs = files.join(run_directory(storage, name), "logs")
    return {
        f"{attempt}/{file.removesuffix('.log')}": files.join(logs, attempt, file)
        for attempt in files.list_names(logs)
        for file in files.list_names(files.join(logs, attempt))
        if file.endswith(".log")
    }


def remember_run(name: str, located: Located) -> None:
    """Note where a run is, for later commands of this person."""
    path = thaw_home() / "runs" / f"{name}.json"
    files.write_atomically(str(path), located.model_dump_json(indent=1).encode())


def locate_run(name: str) -> Located | None:
    """Give where this person's run is; None when it was not submitted from here."""
    path = thaw_home() / "runs" / f"{name}.json"
    try:
        return Located.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def located_runs() -> dict[str, Located]:
    """Give all runs that were submitted from here, by name."""
    folder = thaw_home() / "runs"
    names = [Path(child).stem for child in files.list_names(str(folder)) if child.endswith(".json")]
    found = {name: locate_run(name) for name in names}
    return {name: located for name, located in found.items() if located is not None}


def _stop_address(storage: str, name: str) -> str:
    return files.join(run_directory(storage, name), "stop.json")


def _left_nothing(storage: str, name: str) -> bool:
    """Say whether the last run of a name failed before it had anything worth keeping."""
    try:
        failed = read_run(storage, name).state == "failed"
    except NotFoundError:
        return False
    return failed and not files.list_names(files.join(run_directory(storage, name), "checkpoints"))
