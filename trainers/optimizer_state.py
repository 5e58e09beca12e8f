"""Drop the optimizer state of commits: what they are evaluated and exported from stays.

The weights are written beside the files that hold both; then a manifest that names them takes the
place of the one before, and only after that the old files go. Whoever is killed in here leaves a
commit that is whole, with its optimizer state or known to be without.
"""

import json
from collections.abc import Sequence

from configs.errors import CheckpointError, NotFoundError, StorageError
from trainers import storage
from trainers.belongings import COMMIT
from trainers.damage import find_damage, local_copy
from trainers.manifest import (
    MANIFEST,
    Manifest,
    SavedFile,
    folder_of,
    list_commits,
    read_manifest,
)
from trainers.retention import read_manifests

KEPT = ("weight", "buffer")
"""What of a commit its weights are: the rest is the optimizer's."""


def has_optimizer(run_dir: str) -> bool:
    """Return whether the newest commit holds what a next step needs; True where none tells."""
    try:
        names = list_commits(run_dir)
        return read_manifest(run_dir, names[-1]).has_optimizer if names else True
    except (CheckpointError, StorageError):
        return True  # who loads it says what is wrong


def require_optimizer(run_dir: str, name: str, manifest: Manifest) -> None:
    """Raise CheckpointError for a commit that no step can follow any more."""
    if not manifest.has_optimizer:
        raise CheckpointError(
            f"commit {name} has no optimizer state any more: it was dropped when the run had "
            f"succeeded, so no step can follow. Start a new run with model.path: {run_dir}/export"
        )


def droppable_bytes(run_dir: str) -> dict[str, int]:
    """Return how many bytes go with the optimizer state of each commit, oldest first.

    What is left of an earlier try that was killed counts, too. Raises StorageError.
    """
    found = {}
    for name, manifest in read_manifests(run_dir):
        named = {saved.name for saved in manifest.files}
        files = _files(folder_of(run_dir, name))
        stray = sum(size for file, size in files.items() if file not in named)
        state = (_optimizer_bytes(run_dir, name, saved) for saved in manifest.files)
        found[name] = stray + (sum(state) if manifest.has_optimizer else 0)
    return found


def drop_optimizer(run_dir: str, names: Sequence[str]) -> int:
    """Drop the optimizer state of commits, and what is left of an earlier try; return bytes freed.

    The last of them goes first: by the newest a run is known to be without. Raises CheckpointError
    for a damaged commit, which stays as it is, StorageError.
    """
    return sum(_drop(run_dir, name) for name in reversed(names))


def _drop(run_dir: str, name: str) -> int:
    if problems := find_damage(run_dir, name):
        raise CheckpointError(f"{problems[0]}. Nothing of {name} was dropped")
    manifest, folder = read_manifest(run_dir, name), folder_of(run_dir, name)
    before = _files(folder)
    if manifest.has_optimizer:
        files = tuple(
            _write_weights(run_dir, name, saved, number)
            for number, saved in enumerate(manifest.files)
        )
        manifest = manifest.model_copy(update={"files": files, "has_optimizer": False})
        text = manifest.model_dump_json(indent=1).encode()
        storage.write_atomically(storage.join(folder, MANIFEST), text)
    kept = {saved.name for saved in manifest.files}
    for other in _files(folder).keys() - kept:
        storage.delete(storage.join(folder, other))
    return sum(before.values()) - sum(_files(folder).values())


def _files(folder: str) -> dict[str, int]:
    """Return our files in a commit's folder but its manifest, with their sizes."""
    ours = filter(COMMIT.fullmatch, storage.list_names(folder, files_only=True))
    return {name: storage.num_bytes(storage.join(folder, name)) for name in {*ours} - {MANIFEST}}


def _write_weights(run_dir: str, name: str, saved: SavedFile, number: int) -> SavedFile:
    from safetensors import safe_open

    from trainers.tensor_file import write_tensors

    with safe_open(str(local_copy(run_dir, name, saved)), framework="pt") as file:
        kept = {}
        for key in file.keys():  # noqa: SIM118 - safe_open is no dict
            if _is_kept(key):
                kept[key] = file.get_tensor(key)
    address = storage.join(folder_of(run_dir, name), f"weights-{number:05d}.safetensors")
    return write_tensors(address, kept)


def _optimizer_bytes(run_dir: str, name: str, saved: SavedFile) -> int:
    """Return what is not weights of a file, by its header; 0 where it has none that can be read."""
    address = storage.join(folder_of(run_dir, name), saved.name)
    try:
        with storage.open_input(address) as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, saved.num_bytes)))
        others = [entry["data_offsets"] for key, entry in header.items() if not _is_kept(key)]
        return sum(end - begin for begin, end in others)
    except (NotFoundError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return 0  # whoever drops it finds the damage


def _is_kept(key: str) -> bool:
    """Return whether what a key names is of the weights: `parameter|what|offset`."""
    return key.split("|")[-2] in KEPT if "|" in key else True
