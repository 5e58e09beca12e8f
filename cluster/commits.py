"""Look at a run's commits for a person, and delete those that nobody needs."""

from collections.abc import Sequence
from contextlib import suppress

from pydantic import BaseModel, ConfigDict

from cluster.lock import BEAT_LIMIT_S, beats
from cluster.runs import LIVE, read_records, read_run, read_run_recipe, run_directory
from configs.errors import CheckpointError, RecipeError, StorageError
from configs.records import Step
from trainers.manifest import Manifest, list_commits, read_manifest, step_and_attempt, step_of

LIVE_KEEPS = 2
"""Newest commits of a live run that nobody touches but the run itself."""


class CommitFacts(BaseModel):
    """One commit of a run."""

    model_config = ConfigDict(frozen=True)
    name: str
    step: int
    attempt: int
    epoch: float = 0.0
    """Epochs done, with the share of the current one where a record of the run tells it."""
    phase: int = 0
    """Number of the phase, from 1; 0 where the manifest cannot be read."""
    num_bytes: int = 0
    """Without the frozen weights, which all commits share."""
    time: float = 0.0
    """When it was written, in seconds since the epoch; 0 where that is not known."""
    value: float | None = None
    """What its weights reach in the metric by which the best ones are known."""
    newest: bool = False
    best: bool = False
    optimizer: bool = True
    """Whether the optimizer state is there, without which no step can follow."""
    whole: bool = False
    """Whether all of its files are there with their sizes; `verify` reads them."""


def list_facts(storage: str, name: str) -> list[CommitFacts]:
    """Say what commits a run has, oldest first; raises NotFoundError for no such run."""
    from trainers.damage import has_all_files

    read_run(storage, name)
    folder = run_directory(storage, name)
    names = list_commits(folder)
    manifests = {each: _manifest(folder, each) for each in names}
    best, epochs = _best(list(manifests.values())), _epochs(storage, name, names)
    facts = []
    for each, manifest in manifests.items():
        step, attempt = step_and_attempt(each)
        known = CommitFacts(name=each, step=step, attempt=attempt, newest=each == names[-1])
        if manifest is not None:
            known = known.model_copy(
                update={
                    "epoch": epochs.get(step, float(manifest.cursor.epoch)),
                    "phase": manifest.cursor.phase + 1,
                    "num_bytes": manifest.num_bytes,
                    "time": manifest.time,
                    "value": manifest.value,
                    "best": each == best,
                    "optimizer": manifest.has_optimizer,
                    "whole": has_all_files(folder, manifest, each),
                }
            )
        facts.append(known)
    return facts


def find_damage(storage: str, name: str) -> dict[str, list[str]]:
    """Read every byte of every commit; gives what is damaged by name, oldest first, [] for whole.

    Raises NotFoundError for no such run.
    """
    from trainers import damage

    read_run(storage, name)
    folder = run_directory(storage, name)
    return {each: damage.find_damage(folder, each) for each in list_commits(folder)}


def choose_surplus(
    storage: str,
    name: str,
    keep_last: int | None,
    keep_best: int | None,
    beat_limit_s: float = BEAT_LIMIT_S,
) -> list[CommitFacts]:
    """Choose the commits that may go: what the recipe, or the numbers given, would not keep.

    Damaged ones may go, too. The newest that is whole and the best one stay; of a run whose driver
    beats also the newest two. Raises NotFoundError for no such run.
    """
    from trainers.retention import policy_of, surplus

    facts = {each.name: each for each in list_facts(storage, name)}
    folder = run_directory(storage, name)
    good = _newest_good(folder, [each.name for each in facts.values() if each.whole])
    trusted = [n for n, each in facts.items() if each.whole and good is not None and n <= good]
    manifests = [(each, read_manifest(folder, each)) for each in trusted]
    metric = manifests[-1][1].cursor.best_metric if manifests else None
    policy = policy_of(read_run_recipe(storage, name), metric, keep_last, keep_best)
    gone = set(surplus(manifests, policy, keep=[good or ""]))
    gone |= {each for each in facts if each not in trusted}
    if good is None:
        # Nothing can be loaded: a person may still want to look at what is left.
        gone = set()
    if read_run(storage, name).state in LIVE and beats(run_directory(storage, name), beat_limit_s):
        gone -= set([*facts][-LIVE_KEEPS:])
    return [each for each in facts.values() if each.name in gone]


def delete_commits(storage: str, name: str, names: Sequence[str]) -> None:
    """Delete commits of a run."""
    from trainers import retention

    retention.delete_commits(run_directory(storage, name), names)


def optimizer_bytes(storage: str, name: str) -> dict[str, int]:
    """Return how many bytes would go with the optimizer state of each commit, oldest first.

    Raises NotFoundError for no such run, RecipeError for one that has not succeeded.
    """
    from trainers.optimizer_state import droppable_bytes

    state = read_run(storage, name)
    if state.state != "succeeded":
        raise RecipeError(
            f"Run {name} is {state.state}, not succeeded: it would go on from the optimizer state. "
            "Drop that once it has succeeded"
        )
    return droppable_bytes(run_directory(storage, name))


def goes_on(storage: str, name: str) -> bool:
    """Return whether a step can follow the newest commit: its optimizer state was not dropped."""
    from trainers.optimizer_state import has_optimizer

    return has_optimizer(run_directory(storage, name))


def drop_optimizer(storage: str, name: str) -> int:
    """Drop the optimizer state of a run that succeeded; return the bytes freed.

    Raises what `optimizer_bytes` raises, and CheckpointError for a damaged commit.
    """
    from trainers import optimizer_state

    names = [*optimizer_bytes(storage, name)]
    return optimizer_state.drop_optimizer(run_directory(storage, name), names)


def _newest_good(folder: str, names: Sequence[str]) -> str | None:
    from trainers.damage import find_damage

    return next((name for name in reversed(names) if not find_damage(folder, name)), None)


def _manifest(folder: str, name: str) -> Manifest | None:
    try:
        return read_manifest(folder, name)
    except CheckpointError:
        return None


def _epochs(storage: str, name: str, commits: Sequence[str]) -> dict[int, float]:
    """Return the epochs done at each commit's step, by the pace of the run's step records."""
    with suppress(StorageError):
        steps = [record for record in read_records(storage, name) if isinstance(record, Step)]
        if steps:
            pace = steps[-1].epoch / steps[-1].step
            return {step_of(each): step_of(each) * pace for each in commits}
    return {}


def _best(manifests: Sequence[Manifest | None]) -> str | None:
    """Name the commit that the newest one holds for the best."""
    known = [manifest for manifest in manifests if manifest is not None]
    return known[-1].cursor.best_checkpoint if known else None
