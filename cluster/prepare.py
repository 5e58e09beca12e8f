"""Prepare the data on the cluster before any process group exists; what that means is trainers'.

Small inputs are prepared by one process; spread.py prepares big ones on all nodes.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from configs.records import DataReady, Preparing
from configs.schema import Recipe
from trainers import storage as files

if TYPE_CHECKING:
    from trainers.data.preparation import Prepared

SMALL_BYTES = 64 * 2**20
SAY_S = 1.0

Say = Callable[[Preparing], object]
Labels = tuple[str, ...] | None


def is_small(recipe: Recipe, labels: Labels = None) -> bool:
    """Say whether one process should prepare the data; remote files are fetched by many at once.

    Raises DataError for a path that finds nothing.
    """
    from trainers.data.plan import find_sources

    paths = [files.local_path(source.address) for source in find_sources(recipe, labels)]
    local = [path for path in paths if path is not None]
    return len(local) == len(paths) and sum(path.stat().st_size for path in local) <= SMALL_BYTES


def prepare_here(recipe: Recipe, say: Say | None = None, labels: Labels = None) -> DataReady:
    """Prepare the data in this process; raises DataError for data that cannot be used.

    `say` is told now and then how far the work is. With `labels`, those of a run, the test rows
    alone are prepared.
    """
    from trainers.data.preparation import prepare

    made = prepare(recipe, recipe.storage, progress=now_and_then(say), labels=labels)
    return _ready(made)


def prepare_on_all_nodes(
    recipe: Recipe, say: Say | None = None, labels: Labels = None
) -> DataReady:
    """Prepare the data on all nodes at once, with the same result; needs a connected driver."""
    from cluster.spread import prepare_spread

    return _ready(prepare_spread(recipe, now_and_then(say), labels))


def now_and_then(say: Say | None, pause_s: float = SAY_S) -> Callable[[str, float], None]:
    """Give what takes progress and says it every `pause_s` seconds, first when these are over."""
    said = time.monotonic()

    def tell(doing: str, share: float) -> None:
        nonlocal said
        now = time.monotonic()
        if say is not None and now - said >= pause_s:
            said = now
            say(Preparing(time=time.time(), doing=doing, share=share))

    return tell


def _ready(prepared: "Prepared") -> DataReady:
    manifest = prepared.manifest
    return DataReady(
        time=time.time(),
        path=prepared.data_dir,
        fingerprint=manifest.fingerprint,
        cached=prepared.cached,
        rows_in=manifest.report.rows_in,
        duplicates=manifest.report.duplicates,
        dropped=manifest.report.dropped,
        changed=manifest.report.changed,
        splits={name: split.rows for name, split in manifest.splits.items()},
        num_labels=len(manifest.label_names),
        conflicts=manifest.report.conflicts,
        contamination=manifest.report.contamination,
        notes=manifest.report.notes,
    )
