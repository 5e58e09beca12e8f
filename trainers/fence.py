"""Know whether an attempt of a run is the newest one; how attempts are claimed is the cluster's.

Each attempt has a number of its own, which it took by creating the file of that name in `lock`. A
rank that slept while another attempt took the run over finds the higher number there. One whose
folder was moved away, and another run of the same name begun in its place, finds its own number
claimed by somebody else.
"""

from configs.errors import LockedError, NotFoundError
from trainers import storage

FOLDER = "lock"


def newest_claim(run_dir: str) -> int:
    """Give the highest number that was claimed; 0 where nobody claims numbers."""
    names = storage.list_names(storage.join(run_dir, FOLDER))
    return max((int(name) for name in names if name.isdigit()), default=0)


def read_claim(run_dir: str, number: int) -> str:
    """Give what was written by whoever claimed a number; empty where nobody has."""
    try:
        address = storage.join(run_dir, FOLDER, f"{number:04d}")
        return storage.read_bytes(address).decode(errors="replace")
    except NotFoundError:
        return ""


def is_superseded(run_dir: str, attempt: int, claim: str = "") -> bool:
    """Say whether a newer attempt has taken the run over, or another run stands in its place.

    `claim` is what the attempt's own claim says; empty where that is not known.
    """
    if newest_claim(run_dir) > attempt:
        return True
    return bool(claim) and read_claim(run_dir, attempt) not in ("", claim)


def refuse_if_superseded(run_dir: str, attempt: int, claim: str = "") -> None:
    """Raise LockedError where `is_superseded` says that the run is somebody else's."""
    if not is_superseded(run_dir, attempt, claim):
        return
    newest = newest_claim(run_dir)
    taken = (
        f"attempt {newest} has taken the run over"
        if newest > attempt
        else "another run of the same name was begun in its place"
    )
    raise LockedError(
        f"attempt {attempt} may not write into {run_dir} any more: {taken}. Leave the run to it"
    )
