"""Delete a run: what its folder holds of ours, its name last; a person's files stay."""

from pydantic import BaseModel, ConfigDict

from cluster.located import forget_run
from cluster.lock import BEAT_LIMIT_S, beats, claim
from cluster.places import refuse_links
from cluster.runs import LIVE, list_runs, read_run, run_directory
from configs.errors import LockedError
from trainers import storage as files
from trainers.belongings import EXPORT, RUN, Owner, delete_ours, find_ours, find_strangers
from trainers.export_folder import EXPORT_FILE, FOLDER, is_as_written, read_mark
from trainers.fence import newest_claim

LAST = ("run.json", "lock/")
"""What goes last: until then the run is known, and nobody else takes its name."""


class Belongings(BaseModel):
    """What a run's folder holds."""

    model_config = ConfigDict(frozen=True)
    folder: str
    num_bytes: dict[str, int]
    """Size of what is ours, by the first part of its path."""
    strangers: tuple[str, ...]
    """Paths of what is not ours, and stays."""
    prepared: str | None = None
    """The prepared set, which stays."""
    prepared_for: tuple[str, ...] = ()
    """Other runs in the same storage that were trained on it."""


def find_belongings(storage: str, name: str) -> Belongings:
    """Find what deleting a run would delete, and what it would leave.

    Raises NotFoundError for no such run, StorageError.
    """
    state = read_run(storage, name)
    folder = run_directory(storage, name)
    owns = _owner(folder)
    sizes: dict[str, int] = {}
    for path in find_ours(folder, owns):
        first = path.partition("/")[0]
        sizes[first] = sizes.get(first, 0) + files.num_bytes(files.join(folder, path))
    others = [each for each in list_runs(storage) if each.name != name]
    return Belongings(
        folder=folder,
        num_bytes=sizes,
        strangers=tuple(find_strangers(folder, owns)),
        prepared=state.data_dir,
        prepared_for=tuple(o.name for o in others if o.data_dir and o.data_dir == state.data_dir),
    )


def delete_run(storage: str, name: str, beat_limit_s: float = BEAT_LIMIT_S) -> list[str]:
    """Delete a run that nobody works on, and this person's bookmark of it.

    Returns the paths of what is not ours and stays. Who is killed in here leaves a run that can be
    deleted again. Raises NotFoundError for no such run, LockedError for one whose driver is alive.
    """
    state, folder = read_run(storage, name), run_directory(storage, name)
    refuse_links(folder)
    if state.state in LIVE and beats(folder, beat_limit_s):
        raise LockedError(
            f"Run {name} is {state.state}: job {(*state.job_ids, '')[0]} works on it. Stop it "
            f"first: thaw stop {name}"
        )
    # Whoever would resume it, or slept, finds that somebody has taken it over.
    claim(folder, max(newest_claim(folder), state.attempts) + 1, "deleted")
    owns = _owner(folder)
    delete_ours(folder, lambda path: owns(path) and not path.startswith(LAST))
    kept = delete_ours(folder, owns)
    forget_run(storage, name)
    return kept


def _owner(folder: str) -> Owner:
    """Return what knows which files of a run's folder are ours: an export's by its own list."""
    export = files.join(folder, FOLDER)
    mark = read_mark(export)

    def owns(path: str) -> bool:
        first, _, inner = path.partition("/")
        if first != FOLDER:
            return RUN.fullmatch(path) is not None
        if mark is None:
            return EXPORT.fullmatch(inner) is not None
        return inner == EXPORT_FILE or is_as_written(export, inner, mark)

    return owns
