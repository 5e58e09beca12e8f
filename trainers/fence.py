"""Know whether an attempt of a run is the newest one; how attempts are claimed is the cluster's.

Each attempt has a number of its own, which it took by creating the file of that name in `lock`. A
rank that slept while another attempt took the run over finds the higher number there.
"""

from configs.errors import LockedError
from trainers import storage

FOLDER = "lock"


def newest_claim(run_dir: str) -> int:
    """Give the highest number that was claimed; 0 where nobody claims numbers."""
    names = storage.list_names(storage.join(run_dir, FOLDER))
    return max((int(name) for name in names if name.isdigit()), default=0)


def is_superseded(run_dir: str, attempt: int) -> bool:
    """Say whether a newer attempt has taken the run over."""
    return newest_claim(run_dir) > attempt


def refuse_if_superseded(run_dir: str, attempt: int) -> None:
    """Raise LockedError when a newer attempt has taken the run over."""
    newest = newest_claim(run_dir)
    if newest > attempt:
        raise LockedError(
            f"attempt {attempt} may not write into {run_dir} any more: attempt {newest} has taken "
            "the run over. Leave the run to it"
        )
