"""Remember where a person's runs are: their storage, cluster and job; runs.py reads the runs."""

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.auth import own_runs, thaw_home
from configs.names import check_run_name, is_run_name
from trainers import storage as files
from trainers.private_folders import write_private


class Located(BaseModel):
    """Where the commands of this person find a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    storage: str
    address: str
    job_id: str
    confirmed: bool = True
    """Whether the person named the cluster themselves, or confirmed it: it may have their token."""
    submitted: float = 0.0
    """When the job was submitted, in seconds since the epoch; 0 in notes of old."""


def remember_run(name: str, located: Located) -> None:
    """Note where a run is, for later commands of this person."""
    file = f"{check_run_name(name)}.json"
    write_private(own_runs() / file, located.model_dump_json(indent=1).encode())


def locate_run(name: str) -> Located | None:
    """Give where this person's run is; None when it was not submitted from here."""
    path = thaw_home() / "runs" / f"{check_run_name(name)}.json"
    try:
        return Located.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def forget_run(storage: str, name: str) -> None:
    """Forget where a run is; what is noted of one of that name in another storage stays."""
    known = locate_run(name)
    if known is not None and known.storage == storage:
        (thaw_home() / "runs" / f"{check_run_name(name)}.json").unlink(missing_ok=True)


def located_runs() -> dict[str, Located]:
    """Give all runs that were submitted from here, by name."""
    folder = thaw_home() / "runs"
    children = files.list_names(str(folder))
    names = [child.removesuffix(".json") for child in children if child.endswith(".json")]
    found = {name: locate_run(name) for name in filter(is_run_name, names)}
    return {name: located for name, located in found.items() if located is not None}
