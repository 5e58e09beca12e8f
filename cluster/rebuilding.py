"""Tell of a run whose run.json or recipe.yaml is damaged or gone what its other files know.

Commits hold the recipe, the packages and the prepared set; the records and the claims tell the
rest. Where nothing tells, the caller says so.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cluster.lock import beat_age_s
from configs.errors import CheckpointError, NotFoundError, RecipeError, StorageError
from configs.load import recipe_from
from configs.records import Attempt, DataReady, Ended, Record, read_lines, split_lines
from configs.schema import Recipe
from trainers import storage as files
from trainers.fence import FOLDER, newest_claim
from trainers.manifest import Manifest, list_commits, read_manifest, step_of

ALIVE_S = 30.0
"""Age of the driver's last beat up to which it is taken to be alive; clocks may differ."""
UNKNOWN = "How it ended is not known"


def read_record_file(address: str) -> tuple[list[Record], int]:
    """Return the records of a file, and how many of its lines are damaged; none where it is absent.

    A last line that is being written is left out.
    """
    if not files.exists(address):
        return [], 0
    text = files.read_bytes(address).decode(errors="replace")
    return read_lines(split_lines(text[: text.rfind("\n") + 1]))


def rebuilt_fields(folder: str, problem: str) -> dict[str, Any] | None:
    """Return the fields of run.json as the run's other files tell them; None where none does.

    `problem` says what is wrong with run.json.
    """
    commits = _manifests(folder)
    records = _records(folder)
    if not commits and not records:
        return None
    newest = commits[-1] if commits else None
    times = [record.time for record in records] + [each.time for each in commits if each.time]
    attempts = [record.attempt for record in records if isinstance(record, Attempt)]
    ready = [record.path for record in records if isinstance(record, DataReady)]
    claim = newest_claim(folder)
    end = _end(folder, records, problem)
    return {
        **end,
        **_work(records, is_live=end["state"] == "running"),
        "created": min(times, default=0.0),
        "updated": max(times, default=0.0),
        "attempts": max([*attempts, *(each.fence for each in commits)], default=0),
        "claim": claim,
        "job_ids": _job_ids(folder),
        "packages": newest.packages if newest is not None else {},
        "data_dir": ready[-1] if ready else newest.data_dir if newest is not None else None,
        "rebuilt": f"{problem}: what its commits and records tell stands in its place",
    }


def recipe_of_commits(folder: str) -> Recipe | None:
    """Return the recipe that the newest commit holds; None where no commit holds one."""
    for manifest in reversed(_manifests(folder)):
        if manifest.recipe is not None:
            with suppress(RecipeError):
                return recipe_from(manifest.recipe)
    return None


def _end(folder: str, records: Sequence[Record], problem: str) -> dict[str, Any]:
    """Return how the run stands: as its last word says, else by the signs of life of its driver."""
    last = [record for record in records if isinstance(record, Attempt | Ended)]
    if last and isinstance(last[-1], Ended):
        ended = last[-1]
        names = ("state", "message", "error", "exit_code", "metrics", "step")
        return {name: vars(ended)[name] for name in names}
    commits = list_commits(folder)
    step = {"step": step_of(commits[-1]) if commits else 0}
    age = beat_age_s(folder, time.time())
    if age is not None and age <= ALIVE_S:
        return {"state": "running", **step}
    return {"state": "failed", "message": f"{UNKNOWN}: {problem}", **step}


def _work(records: Sequence[Record], *, is_live: bool) -> dict[str, float]:
    """Return since when and for how long was worked on the run; nothing where no record tells."""
    began, worked, is_over = 0.0, 0.0, True
    for record in records:
        began = record.time if is_over else began
        is_over = isinstance(record, Ended)
        if isinstance(record, Ended):
            told = record.worked_s
            worked = told if told is not None else worked + record.time - began
    if not is_over and not is_live:
        worked += records[-1].time - began
    return {"began": began, "worked_s": worked} if records else {}


def _manifests(folder: str) -> list[Manifest]:
    """Return the manifests of the commits that can be read, oldest first."""
    found = []
    for name in list_commits(folder):
        with suppress(CheckpointError, StorageError):
            found.append(read_manifest(folder, name))
    return found


def _records(folder: str) -> list[Record]:
    with suppress(StorageError):
        return read_record_file(files.join(folder, "metrics.jsonl"))[0]
    return []


def _job_ids(folder: str) -> tuple[str, ...]:
    """Return the jobs that claimed the run, in order."""
    found: dict[str, None] = {}
    with suppress(StorageError):
        for name in filter(str.isdigit, files.list_names(files.join(folder, FOLDER))):
            with suppress(NotFoundError, StorageError, ValueError, TypeError, KeyError):
                claim = json.loads(files.read_bytes(files.join(folder, FOLDER, name)))
                found[str(claim["job_id"])] = None
    return tuple(found)
