"""Read the weights of a commit whole: its own, and the frozen ones it points to.

A commit holds what learns and what learned before; what never learned lies once, in a folder that
the first commit wrote. That folder is stale for whatever began to learn since, so the commit's own
weights win.
"""

import torch

from configs.errors import CheckpointError
from configs.schema import Recipe
from trainers.arithmetic import changed_arithmetic
from trainers.checkpoint import Reader
from trainers.manifest import Manifest, read_manifest


class SavedState:
    """Every parameter of a commit, wherever it lies."""

    def __init__(self, run_dir: str, name: str) -> None:
        """Open a verified commit, and the frozen folder that it names."""
        self.manifest = read_manifest(run_dir, name)
        self.sizes: dict[str, int] = {}
        self._readers: dict[str, Reader] = {}
        for folder in filter(None, (self.manifest.frozen, name)):
            manifest = read_manifest(run_dir, folder)
            self.sizes |= manifest.parameters
            reader = Reader(run_dir, folder, manifest)
            self._readers |= dict.fromkeys([*manifest.parameters, *manifest.buffers], reader)

    def read(self, name: str, what: str, offset: int, count: int) -> torch.Tensor:
        """Read elements [offset, offset + count) of a flattened parameter; shape (count,).

        Raises CheckpointError when the commit does not hold all of them.
        """
        return self._readers[name].read(name, what, offset, count)


def continued(
    saved: Manifest, name: str, recipe: Recipe, data_fingerprint: str, *, allow_change: bool
) -> Manifest:
    """Give the commit as a run of this recipe over this data goes on from it; `name` is its own.

    Raises CheckpointError for one of another recipe or other data. With `allow_change` these go on,
    other data from the beginning of the epoch: which of its rows were seen means nothing there.
    """
    changed = changed_arithmetic(saved.arithmetic, recipe)
    is_same_data = saved.data_fingerprint == data_fingerprint
    changed += [] if is_same_data else ["data"]
    if changed and not allow_change:
        raise CheckpointError(
            f"commit {name} was made with other values of {', '.join(changed)}. "
            "Resume with the run's own recipe and code, accept another answer with --allow-change, "
            "or start a new run"
        )
    if is_same_data:
        return saved
    cursor = saved.cursor.model_copy(update={"step_in_epoch": 0, "rows": 0, "id_sum": 0})
    return saved.model_copy(update={"cursor": cursor})


def read_best(run_dir: str, newest: str | None) -> tuple[str, Manifest]:
    """Read the commit whose weights are to be exported, to stand where it stands; also name it.

    Raises CheckpointError for a run without a commit.
    """
    if newest is None:
        raise CheckpointError(
            f"{run_dir} has no commit yet. Wait for the first one, or resume the run"
        )
    name = read_manifest(run_dir, newest).cursor.best_checkpoint or newest
    best = read_manifest(run_dir, name)
    cursor = best.cursor.model_copy(update={"best_checkpoint": None})
    return name, best.model_copy(update={"cursor": cursor})
