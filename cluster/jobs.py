"""Submit, follow, list and stop jobs through the Ray Jobs API; driver.py says what a job does."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from cluster.connection import connect, limited, sentences, submit_with_patience
from cluster.joblog import read_job_log
from cluster.owners import own_name
from cluster.shipping import staged
from cluster.working_dir import check_working_dir
from configs.errors import NotFoundError
from configs.records import Ended, Record
from configs.schema import Recipe

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

Verb = Literal["finetune", "prepare", "evaluate", "predict", "export", "stop", "doctor"]
JobState = Literal["pending", "running", "succeeded", "failed", "stopped"]

PACKAGES = ("configs", "cluster", "trainers")
STOP_LIMIT_S = 20
ANSWER_LIMIT_S = 10.0
JOB_ENVIRONMENT = {
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_LIMIT_S),
    # Ray Train looks every 2 s whether the workers have ended.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Attempts are ours: what goes with a node is noticed by the loss of its workers, a process that
    # watches for announced losses (2.5 s of imports) changes nothing.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Workers stay in their folder, where relative paths of libraries mean what they meant.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Nobody reads Ray Train's metrics; its log goes with the log of the rank.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}


class Job(BaseModel):
    """One job as the cluster tells it."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    run: str
    verb: str
    state: JobState
    message: str
    storage: str
    started: float | None
    """Seconds since the epoch."""
    ended: float | None


def submit(address: str, verb: Verb, recipe: Recipe, arguments: dict[str, str]) -> str:
    """Submit a job and give its id; the recipe's working_dir goes with it.

    Raises ClusterError when the cluster is not reachable or refuses us, RecipeError for a
    working_dir that cannot be shipped or lacks what the recipe names.
    """
    asked = {"verb": verb, "recipe": recipe.model_dump(mode="json"), "arguments": arguments}
    spec = {**asked, "owner": own_name()}
    environment = JOB_ENVIRONMENT | recipe.cluster.env
    runtime_env: dict[str, Any] = {
        "py_modules": [str(_source_root() / package) for package in PACKAGES],
        # Ray puts the machine's values in the place of $NAME and ${NAME}, secrets too (ray 2.60).
        "env_vars": environment | {"THAW_JOB": json.dumps(spec).replace("$", r"\u0024")},
    }
    metadata = {"run": recipe.name, "verb": verb, "storage": recipe.storage}
    client = connect(address)
    with ExitStack() as stack:
        if verb != "stop":  # which must go through whatever has become of the folder
            check_working_dir(recipe)
            if recipe.cluster.working_dir is not None:
                copy = stack.enter_context(staged(Path(recipe.cluster.working_dir)))
                runtime_env["working_dir"] = str(copy)
        stack.enter_context(sentences(address))
        return submit_with_patience(
            client,
            job_prefix(recipe.name, verb),
            entrypoint=shlex.join(["python", "-m", "cluster.driver", verb]),
            runtime_env=runtime_env,
            metadata=metadata,
        )


def follow(address: str, job_id: str) -> Iterator[Record | str]:
    """Yield the job's records as they come, other log lines as text, an Ended record last.

    Returns as soon as the job said that it ended, without waiting for its processes. Raises
    NotFoundError for an unknown job, ClusterError when the cluster cannot be reached any more.
    """
    client = limited(connect(address), ANSWER_LIMIT_S)
    with sentences(address, job_id):
        for entry in read_job_log(client, job_id):
            yield entry
            if isinstance(entry, Ended):
                return
        yield ended_without_record(_as_job(client.get_job_info(job_id)))


def job_status(address: str, job_id: str) -> Job:
    """Ask how a job stands; raises NotFoundError for an unknown one."""
    client = connect(address)
    with sentences(address, job_id):
        return _as_job(client.get_job_info(job_id))


def list_jobs(address: str) -> list[Job]:
    """List the jobs of Thaw that the cluster remembers, oldest first."""
    client = connect(address)
    with sentences(address):
        details = client.list_jobs()
    jobs = [_as_job(job) for job in details if job.submission_id and "run" in (job.metadata or {})]
    return sorted(jobs, key=lambda job: job.started or 0.0)


def stop_job(address: str, job_id: str) -> bool:
    """Tell a job to end, which Ray enforces after 20 s; False when it had ended already."""
    client = connect(address)
    with sentences(address, job_id):
        return bool(client.stop_job(job_id))


def job_log(address: str, job_id: str) -> str:
    """Give the whole log of a job as it stands."""
    client = connect(address)
    with sentences(address, job_id):
        return str(client.get_job_logs(job_id))


def job_prefix(run: str, verb: Verb) -> str:
    """Name the jobs of a run: `<run>` for fine-tuning, `<run>.<verb>` else; a number follows."""
    return run if verb == "finetune" else f"{run}.{verb}"


def latest_job(address: str, run: str, verb: Verb = "finetune") -> Job:
    """Find the newest job of a run; raises NotFoundError when the cluster knows none."""
    jobs = [job for job in list_jobs(address) if job.run == run and job.verb == verb]
    if not jobs:
        raise NotFoundError(f"The cluster knows no {verb} job of run {run}. See `thaw list`")
    return jobs[-1]


def ended_without_record(job: Job) -> Ended:
    """Say how a job ended that could not say it itself."""
    stopped = job.state == "stopped"
    return Ended(
        time=job.ended or 0.0,
        state="stopped" if stopped else "failed",
        exit_code=143 if stopped else 4,
        error=None if stopped else "ClusterError",
        message="Stopped from outside" if stopped else _first_reason(job.message),
        step=0,
        metrics={},
        rows=0,
    )


def _first_reason(message: str) -> str:
    """Take the last line of what the cluster says about a failed job."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    reason = re.sub(r"\x1b\[[0-9;]*m", "", lines[-1]) if lines else "no reason is known"
    return f"The job ended without saying how: {reason}. See the job's log"


def _as_job(details: "JobDetails") -> Job:
    metadata = details.metadata or {}
    return Job(
        job_id=details.submission_id or "",
        run=metadata.get("run", ""),
        verb=metadata.get("verb", ""),
        state=details.status.value.lower(),
        message=details.message or "",
        storage=metadata.get("storage", ""),
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
    )


def _source_root() -> Path:
    """Give the folder that holds our packages."""
    path = sys.modules["configs"].__file__
    assert path is not None
    return Path(path).parent.parent
