"""Choose which commits are kept, and delete the others; when, the writer of commits says."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from configs.errors import CheckpointError
from configs.schema import Recipe
from trainers import storage
from trainers.belongings import COMMIT, delete_ours
from trainers.early_stopping import lower_is_better, rule_for
from trainers.manifest import (
    MANIFEST,
    Manifest,
    folder_of,
    list_commits,
    list_frozen,
    list_leftovers,
    read_manifest,
)


@dataclass(frozen=True)
class Policy:
    """Which commits a run keeps."""

    keep_last: int
    """The newest ones."""
    keep_best: int
    """Besides them, those whose weights were evaluated best."""
    lower_is_better: bool


def policy_of(
    recipe: Recipe,
    metric: str | None,
    keep_last: int | None = None,
    keep_best: int | None = None,
) -> Policy:
    """Return which commits a recipe keeps, or would with these numbers.

    `metric` is the one that its evaluations are compared by, None before the first.
    """
    asked = recipe.checkpoint
    rule = rule_for(metric, recipe.early_stopping) if metric is not None else None
    mode = rule.mode if rule is not None else "auto"
    lower = metric is not None and lower_is_better(metric, mode)
    return Policy(keep_last or asked.keep_last, keep_best or asked.keep_best, lower)


def surplus(
    manifests: Sequence[tuple[str, Manifest]], policy: Policy, keep: Collection[str] = ()
) -> list[str]:
    """Name the commits that a policy does not keep, of those given, oldest first.

    Those in `keep` stay, and so does the one that the newest holds for the best.
    """
    if not manifests:
        return []
    newest = manifests[-policy.keep_last :]
    sign = 1.0 if policy.lower_is_better else -1.0
    ranked = sorted(
        (sign * manifest.value, -manifest.cursor.step, name)
        for name, manifest in manifests
        if manifest.value is not None and not math.isnan(manifest.value)
    )
    kept = {name for name, _ in newest} | {name for _, _, name in ranked[: policy.keep_best]}
    kept |= {*keep, manifests[-1][1].cursor.best_checkpoint or ""}
    return [name for name, _ in manifests if name not in kept]


def delete_commits(run_dir: str, names: Collection[str]) -> None:
    """Delete commits; one that is gone is fine, and a person's file in one stays."""
    for name in names:
        folder = folder_of(run_dir, name)
        # The manifest goes first: a folder without one is nothing, also after a kill in here.
        storage.delete(storage.join(folder, MANIFEST))
        delete_ours(folder, COMMIT)


def delete_surplus(run_dir: str, policy: Policy, damaged: Collection[str] = ()) -> None:
    """Delete what a policy does not keep; damaged commits go, and do not count as kept."""
    delete_commits(run_dir, damaged)
    delete_commits(run_dir, surplus(read_manifests(run_dir), policy))


def free_room(run_dir: str, newest_good: str) -> list[str]:
    """Delete all commits but the newest good one and the best, for a disk is full; names them."""
    best = read_manifest(run_dir, newest_good).cursor.best_checkpoint
    freed = [name for name in list_commits(run_dir) if name not in (newest_good, best)]
    delete_commits(run_dir, freed)
    return freed


def newer_than(run_dir: str, name: str | None) -> tuple[str, ...]:
    """Name the commits behind one, or all where it is None."""
    names = list_commits(run_dir)
    return tuple(names[names.index(name) + 1 :] if name in names else names)


def delete_leftovers(run_dir: str, attempt: int) -> None:
    """Delete what earlier attempts wrote for commits that never came to be."""
    for name in [*list_leftovers(run_dir, attempt), *_unused_frozen(run_dir, attempt)]:
        delete_ours(folder_of(run_dir, name), COMMIT)


def _unused_frozen(run_dir: str, attempt: int) -> list[str]:
    """Name frozen weights of earlier attempts that no commit names; none where one is damaged."""
    manifests = read_manifests(run_dir)
    if len(manifests) < len(list_commits(run_dir)):
        return []
    used = {manifest.frozen for _, manifest in manifests}
    return [name for name in list_frozen(run_dir, attempt) if name not in used]


def read_manifests(run_dir: str) -> list[tuple[str, Manifest]]:
    """Read the manifests of all commits, newest last; one that is damaged is left out."""
    found = []
    for name in list_commits(run_dir):
        try:
            found.append((name, read_manifest(run_dir, name)))
        except CheckpointError:
            continue
    return found
