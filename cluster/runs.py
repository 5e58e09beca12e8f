"""Read and write a run's directory: its state, who works on it, its records, its stop request.

The directory is the truth about a run. The driver alone writes the state; everybody may read it.
"""

import time
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.auth import own_runs as own_runs
from cluster.located import Located as Located
from cluster.located import locate_run as locate_run
from cluster.located import located_runs as located_runs
from cluster.located import remember_run as remember_run
from cluster.lock import BEAT_LIMIT_S, BEAT_S, beat_age_s, beats, claim
from cluster.packages import installed_packages, refuse_other_packages
from cluster.places import is_linked, refuse_links, run_folder
from cluster.rebuilding import read_record_file, rebuilt_fields, recipe_of_commits
from cluster.recipe_file import is_as_written, read_recipe, write_recipe
from configs.errors import CheckpointError, LockedError, NotFoundError, StorageError
from configs.names import JobId, RunName, is_run_name
from configs.records import Note, Record
from configs.schema import Recipe
from trainers import storage as files
from trainers.belongings import RECORDS, delete_ours
from trainers.fence import newest_claim
from trainers.manifest import list_commits, step_of
from trainers.masking import masked
from trainers.optimizer_state import has_optimizer

State = Literal["queued", "preparing", "running", "succeeded", "failed", "stopped"]
LIVE = ("queued", "preparing", "running")
POLL_S = 0.3
SIGN_LIMIT_S = BEAT_S + 2.0
"""How long who asks waits for the next beat of a driver."""


class RunState(BaseModel):
    """How a run stands; the content of run.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    name: RunName
    state: State
    created: float
    """Seconds since the epoch, as all times here."""
    updated: float
    storage: str
    began: float | None = None
    """When the newest driver took the run; None for runs of old."""
    worked_s: float = 0.0
    """Seconds that drivers which are over worked on it."""
    attempts: int = 0
    """Number of the newest attempt; as each has a claim of its own, it is that claim's."""
    claim: int = 0
    """Number of the claim under which the newest driver took the run."""
    job_ids: tuple[JobId, ...] = ()
    packages: dict[str, str] = {}
    """Versions of what computed the run so far; empty for runs of old."""
    data_dir: str | None = None
    message: str = ""
    error: str | None = None
    exit_code: int | None = None
    metrics: dict[str, float | None] = {}
    step: int = 0
    eased: dict[str, int] = {}
    """Keys of the recipe that were changed when memory ran out, and what they are."""
    owner: str = ""
    """Who submitted it first; empty for runs of old, which are everybody's."""
    rebuilt: str = ""
    """What is wrong with run.json, where other files of the run tell what it held."""

    @property
    def has_begun(self) -> bool:
        """Whether a driver took the run."""
        return self.state != "queued" or self.claim > 0

    def total_s(self, now: float) -> float:
        """Return for how many seconds was worked on the run; none while it stood still."""
        if self.began is None:
            return (now if self.state in LIVE else self.updated) - self.created
        return self.worked_s + (max(0.0, now - self.began) if self.state in LIVE else 0.0)


def run_directory(storage: str, name: str) -> str:
    """Give the address of a run's directory; raises what places.run_folder raises."""
    return run_folder(storage, name)


def create_run(
    storage: str,
    recipe: Recipe,
    job_id: str,
    beat_limit_s: float = BEAT_LIMIT_S,
    *,
    owner: str = "",
) -> RunState:
    """Take the name and write the first state.

    A name is free again when its run failed before its first commit. Raises LockedError when the
    name is taken, StorageError when the storage cannot be written.
    """
    folder = run_directory(storage, recipe.name)
    refuse_links(folder)
    # Before the state is read: who claims in between has the number that is tried below.
    newest = newest_claim(folder)
    if not _is_free(storage, recipe.name, newest, beat_limit_s):
        raise LockedError(
            f"The name {recipe.name} is taken in {storage}. Choose another name, or go on with "
            f"`thaw resume {recipe.name}`"
        )
    _refuse_strangers(folder, newest)
    claim(folder, newest + 1, job_id)
    delete_ours(folder, RECORDS)
    write_recipe(files.join(folder, "recipe.yaml"), recipe)
    now = time.time()
    state = RunState(
        name=recipe.name,
        state="queued",
        created=now,
        updated=now,
        began=now,
        storage=storage,
        claim=newest + 1,
        job_ids=(job_id,),
        packages=installed_packages(),
        owner=owner,
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
    other packages are installed than computed it so far, unless `allow_change`, CheckpointError
    when its commits hold no optimizer state any more.
    """
    name = recipe.name
    folder = run_directory(storage, name)
    refuse_links(folder)
    # Before the state is read: who claims in between has the number that is tried below.
    newest = newest_claim(folder)
    read_run(storage, name)
    state = _read_claimed(storage, name, newest, beat_limit_s) or read_run(storage, name)
    is_live = state.state in LIVE or state.rebuilt
    refuse_dropped(name, folder)
    packages = installed_packages()
    if not allow_change:
        refuse_other_packages(name, state.packages, packages)
    if is_live and beats(folder, beat_limit_s):
        job = f"job {state.job_ids[-1]}" if state.job_ids else "somebody"
        raise LockedError(
            f"Run {name} is {state.state}: {job} works on it. Wait for it, or "
            f"stop it with `thaw stop {name}`"
        )
    number = max(newest, state.attempts) + 1
    claim(folder, number, job_id)
    clear_stop_request(storage, name)
    write_recipe(files.join(folder, "recipe.yaml"), recipe)
    changes = {"state": "queued", "claim": number, "packages": packages}
    return change_state(state, storage=storage, **_begun_again(storage, state, job_id), **changes)


def refuse_dropped(name: str, folder: str) -> None:
    """Raise CheckpointError for a run whose commits hold no optimizer state any more."""
    if not has_optimizer(folder):
        raise CheckpointError(
            f"Run {name} cannot go on: the optimizer state of its commits was dropped, without "
            "which no step can follow. Start a new run with model.path: "
            f"{files.join(folder, 'export')}"
        )


def write_state(state: RunState) -> RunState:
    """Write run.json."""
    address = files.join(run_directory(state.storage, state.name), "run.json")
    content = state.model_dump_json(indent=1, exclude={"rebuilt"})
    files.write_atomically(address, masked(content).encode())
    return state


def change_state(before: RunState, **changes: object) -> RunState:
    """Write run.json with some fields changed."""
    return write_state(changed_state(before, **changes))


def changed_state(before: RunState, **changes: object) -> RunState:
    """Give a state with some fields changed, as of now."""
    known = {**before.model_dump(exclude={"rebuilt"}), **changes, "updated": time.time()}
    return RunState.model_validate(known)


def read_run(storage: str, name: str) -> RunState:
    """Read how a run stands, by its other files where run.json is damaged or gone.

    Raises NotFoundError when there is no such run, StorageError when nothing tells.
    """
    address = files.join(run_directory(storage, name), "run.json")
    try:
        state = _state_or_problem(files.read_bytes(address), name)
    except NotFoundError as error:
        if (rebuilt := _rebuilt(storage, name, f"{address} is gone")) is not None:
            return rebuilt
        raise NotFoundError(f"There is no run {name} in {storage}. See `thaw list`") from error
    if isinstance(state, RunState):
        return state
    if (rebuilt := _rebuilt(storage, name, f"{address} {state}")) is not None:
        return rebuilt
    raise StorageError(f"{address} {state}. Was it changed by hand? Put it back, or delete it")


def read_run_recipe(storage: str, name: str) -> Recipe:
    """Read the recipe that a run was submitted with, out of a commit where recipe.yaml is damaged.

    Raises StorageError when none tells it.
    """
    folder = run_directory(storage, name)
    try:
        return read_recipe(files.join(folder, "recipe.yaml"))
    except (NotFoundError, StorageError) as error:
        if (recipe := recipe_of_commits(folder)) is not None:
            return recipe
        raise StorageError(f"{str(error).rstrip('.')}; no commit holds it") from error


def find_damage(storage: str, name: str) -> list[str]:
    """Return a sentence for each of run.json and recipe.yaml that others had to stand in for."""
    found = [read_run(storage, name).rebuilt]
    address = files.join(run_directory(storage, name), "recipe.yaml")
    try:
        if not is_as_written(address):
            read_recipe(address)
    except (NotFoundError, StorageError) as error:
        problem = str(error).partition(". ")[0].rstrip(".")
        found.append(f"{problem}: the recipe that the newest commit holds stands in its place")
    return [sentence for sentence in found if sentence]


def list_runs(storage: str) -> list[RunState]:
    """Read all runs of a storage, oldest first; folders that are no run are passed over.

    One whose state is damaged is told of as failed. Raises NotFoundError for a storage that is not
    there.
    """
    if not files.exists(storage):
        raise NotFoundError(f"There is no folder {storage}. Name the one that holds the runs")
    states = []
    for name in filter(is_run_name, files.list_names(storage)):
        if is_linked(storage, name):
            continue
        try:
            states.append(read_run(storage, name))
        except NotFoundError:
            continue
        except StorageError as error:
            states.append(_damaged(storage, name, error))
    return sorted(states, key=lambda state: state.created)


def read_records(storage: str, name: str) -> Iterator[Record]:
    """Yield the records that are there; a last line that is being written is left out.

    Damaged lines are passed over; a note that comes before all others tells how many.
    """
    address = files.join(run_directory(storage, name), "metrics.jsonl")
    records, damaged = read_record_file(address)
    if damaged:
        lines = "1 line is" if damaged == 1 else f"{damaged:,} lines are"
        said = f"{address}: {lines} damaged and passed over. What they said is lost"
        since = records[0].time if records else time.time()
        yield Note(time=since, level="warning", text=said, event="damaged_lines")
    yield from records


def silent_s(storage: str, state: RunState) -> float:
    """Return for how long the driver of a live run has given no sign of life; clocks may differ.

    Where it never gave one, since it wrote run.json.
    """
    now = time.time()
    age = beat_age_s(run_directory(storage, state.name), now)
    return max(0.0, now - state.updated if age is None else age)


def shows_life(storage: str, state: RunState, limit_s: float = SIGN_LIMIT_S) -> bool:
    """Watch whether the driver of a run lives, for at most two beats.

    One that beat lately may be dead as well, clocks differ, and one that is just being ended may
    beat once more: two new beats count.
    """
    if silent_s(storage, state) > BEAT_LIMIT_S:
        return False
    return all(beats(run_directory(storage, state.name), limit_s) for _ in range(2))


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
    """Return the step of the newest commit that has all its files; None when there is none.

    Where none has, that of the newest: who loads it says what is wrong.
    """
    from trainers.damage import looks_whole

    folder = run_directory(storage, name)
    names = list_commits(folder)
    whole = (each for each in reversed(names) if looks_whole(folder, each))
    return step_of(next(whole, names[-1])) if names else None


def log_files(storage: str, name: str) -> dict[str, str]:
    """Give the log files by a short name such as `a01/rank-0`, in order."""
    logs = files.join(run_directory(storage, name), "logs")
    return {
        f"{attempt}/{file.removesuffix('.log')}": files.join(logs, attempt, file)
        for attempt in files.list_names(logs)
        for file in files.list_names(files.join(logs, attempt))
        if file.endswith(".log")
    }


def _begun_again(storage: str, state: RunState, job_id: str) -> dict[str, object]:
    """Return the fields of a run that a new job begins to work on, without its last end."""
    now, known = time.time(), tuple(known for known in state.job_ids if known != job_id)
    ended = {"exit_code": None, "error": None, "message": ""}
    # A driver that died worked until its last sign of life.
    worked_s = state.total_s(now - silent_s(storage, state))
    return {"began": now, "worked_s": worked_s, "job_ids": (*known, job_id), **ended}


def _refuse_strangers(folder: str, newest: int) -> None:
    """Refuse a folder that is there and was never a run's."""
    names = [] if newest else files.list_names(folder)
    if names:
        raise LockedError(
            f"{folder} exists and is not the folder of a run: it holds {', '.join(names[:3])}. "
            "Choose another name or another storage"
        )


def _stop_address(storage: str, name: str) -> str:
    return files.join(run_directory(storage, name), "stop.json")


def _state_or_problem(data: bytes, name: str) -> RunState | str:
    """Return the state that run.json holds, or what is wrong with it."""
    try:
        state = RunState.model_validate_json(data)
    except ValidationError:
        return "holds no state of a run"
    return state if state.name == name else f"is of run {state.name}"


def _rebuilt(storage: str, name: str, problem: str) -> RunState | None:
    known = rebuilt_fields(run_directory(storage, name), problem)
    if known is None:
        return None
    return RunState.model_validate({"name": name, "storage": storage, **known})


def _damaged(storage: str, name: str, error: StorageError) -> RunState:
    known = {"name": name, "storage": storage, "created": 0.0, "updated": 0.0}
    return RunState.model_validate({**known, "state": "failed", "message": str(error)})


def _read_claimed(storage: str, name: str, newest: int, limit_s: float) -> RunState | None:
    """Read how a run stands once who claimed it last has written so.

    None where nobody has in time: who claimed it died before it could.
    """
    limit = time.monotonic() + limit_s
    while True:
        try:
            state = read_run(storage, name)
            if max(state.claim, state.attempts) >= newest:
                return state
        except NotFoundError:
            pass
        if time.monotonic() >= limit:
            return None
        time.sleep(POLL_S / 10)


def _is_free(storage: str, name: str, newest: int, limit_s: float) -> bool:
    """Say whether the last run of a name, if any, ended before it had anything worth keeping."""
    if not newest:
        return True
    state = _read_claimed(storage, name, newest, limit_s)
    ended = state is None or state.state == "failed"
    return ended and not files.list_names(files.join(run_directory(storage, name), "checkpoints"))
