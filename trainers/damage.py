"""Say what is damaged in a commit, by the sizes and hashes of its manifest."""

from pathlib import Path

from configs.errors import CheckpointError, NotFoundError, StorageError
from trainers import storage
from trainers.data.shard_cache import node_folder
from trainers.manifest import Manifest, SavedFile, folder_of, read_manifest


def find_damage(run_dir: str, name: str, share: int = 0, num_shares: int = 1) -> list[str]:
    """Check a share of a commit's files, byte by byte; returns a sentence for each damaged one.

    The frozen weights that the commit names belong to it. Share 0 speaks of the manifest.
    """
    try:
        manifest = read_manifest(run_dir, name)
    except CheckpointError as error:
        return [str(error)] if share == 0 else []
    except StorageError as error:
        return [str(error)]
    frozen = manifest.frozen
    problems = [] if frozen is None else find_damage(run_dir, frozen, share, num_shares)
    for saved in manifest.files[share::num_shares]:
        try:
            path = local_copy(run_dir, name, saved)
            size = path.stat().st_size
            same = size == saved.num_bytes and storage.file_hash(path) == saved.hash
        except (NotFoundError, StorageError) as error:
            problems.append(f"{name}: {error}")
            continue
        except OSError as error:
            problems.append(f"{name}/{saved.name} could not be read: {error}")
            continue
        if size != saved.num_bytes:
            problems.append(f"{name}/{saved.name} has {size} bytes, {saved.num_bytes} were written")
        elif not same:
            problems.append(f"{name}/{saved.name} does not have the bytes that were written")
    return problems


def looks_whole(run_dir: str, name: str) -> bool:
    """Say whether a commit has a manifest and all files that it names, without reading those."""
    try:
        return has_all_files(run_dir, read_manifest(run_dir, name), name)
    except (CheckpointError, StorageError):
        return False


def has_all_files(run_dir: str, manifest: Manifest, name: str) -> bool:
    """Say whether all files of a commit are there with their sizes; reads no bytes of them."""
    try:
        if manifest.frozen is not None:
            frozen = read_manifest(run_dir, manifest.frozen)
            if not has_all_files(run_dir, frozen, manifest.frozen):
                return False
        folder = folder_of(run_dir, name)
        return all(
            storage.num_bytes(storage.join(folder, saved.name)) == saved.num_bytes
            for saved in manifest.files
        )
    except (CheckpointError, NotFoundError):
        return False


def local_copy(run_dir: str, name: str, saved: SavedFile) -> Path:
    """Give a file of a commit as a local path; a remote one is fetched once.

    Raises NotFoundError when it is absent.
    """
    address = storage.join(folder_of(run_dir, name), saved.name)
    local = storage.local_path(address)
    if local is not None:
        if not storage.exists(address):
            raise NotFoundError(f"{address} does not exist")
        return local
    cache = node_folder() / "checkpoints" / storage.bytes_hash(address.encode())
    path = cache / saved.hash
    if not path.exists():
        storage.download(address, path)
    return path
