"""Ask the cluster what it knows of a run whose directory does not tell all; why.py shows it."""

from typing import TYPE_CHECKING

from configs.errors import ClusterError, NotFoundError, StorageError
from configs.records import Ended, Record, split_lines

if TYPE_CHECKING:
    from cluster.diagnosis import Diagnosis, Outside
    from launcher.client import Thaw


def diagnose_run(client: "Thaw", run: str) -> "Diagnosis":
    """Say why a run failed or is slow, by its directory and by its cluster where it answers.

    Raises NotFoundError for an unknown run, ClusterError or StorageError when nothing can be seen.
    """
    from cluster.diagnosis import diagnose

    try:
        return diagnose(client.where.storage_of(run), run, look_outside(client, run))
    except (NotFoundError, StorageError) as error:
        if client.backend.runs.locate_run(run) is None:
            raise
        return _from_job_log(client, run, error)


def look_outside(client: "Thaw", run: str) -> "Outside":
    """Ask the cluster for the run's job and for nodes that died; says what kept it from that."""
    from cluster.diagnosis import Outside

    try:
        located = client.where.located(run)
    except (ClusterError, NotFoundError) as error:
        return Outside(reached=False, unseen=str(error))
    try:
        nodes = tuple(client.backend.inventory.list_deaths_at(located.address))
    except ClusterError as error:
        return Outside(reached=False, job=_without_end(error))
    job_id = client.job_with_log(run, located.job_id)
    try:
        job = client.backend.jobs.job_status(located.address, job_id)
    except NotFoundError as error:
        return Outside(job=_without_end(error), nodes=nodes)
    is_over = job.state not in ("pending", "running")
    return Outside(
        job=f"Its job {job.state}: {job.message}",
        job_id=job_id,
        job_is_over=is_over,
        ended=_last_word(client, located.address, job_id) if is_over else None,
        nodes=nodes,
    )


def _last_word(client: "Thaw", address: str, job_id: str) -> Ended | None:
    """Return what a job said last, where its log is still there and says it."""
    from cluster.joblog import as_record

    try:
        lines = split_lines(client.backend.jobs.job_log(address, job_id))
    except (ClusterError, NotFoundError):
        return None
    return next((r for r in map(as_record, reversed(lines)) if isinstance(r, Ended)), None)


def _from_job_log(client: "Thaw", run: str, error: Exception) -> "Diagnosis":
    """Judge a run by the records in the log of its job; its storage cannot be seen."""
    from cluster.diagnosis import diagnose_records
    from cluster.runs import RunState

    located = client.where.located(run)
    try:
        entries = [*client.job_log(run)]
    except (ClusterError, NotFoundError) as second:
        unseen = f"{located.storage} cannot be seen from here, nor the log of the run's job"
        raise StorageError(f"{unseen}: {second}") from error
    records: list[Record] = [entry for entry in entries if not isinstance(entry, str)]
    ended = next((record for record in reversed(records) if isinstance(record, Ended)), None)
    outside = look_outside(client, run)
    times = [record.time for record in records] or [0.0]
    state = RunState(
        name=run,
        state=ended.state if ended is not None else "running",
        created=times[0],
        updated=times[-1],
        storage=located.storage,
        job_ids=(located.job_id,),
        message=ended.message if ended is not None else "",
        error=ended.error if ended is not None else None,
        exit_code=ended.exit_code if ended is not None else None,
    )
    unseen = f"{located.storage} is not visible from here: this is what the log of the job tells"
    return diagnose_records(state, records, outside, unseen)


def _without_end(error: Exception) -> str:
    return str(error).rstrip(".")
