"""Read and write whole files at a local path, s3:// or gs://; what they hold is the caller's.

Torch-free. Local files are written to a temporary name, synced and renamed, so a reader never sees
half a file; object stores do that by themselves.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from configs.errors import NotFoundError, StorageError
from trainers.heartbeat import beat

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

CHUNK_BYTES = 8 * 2**20


def local_path(address: str) -> Path | None:
    """Give the path of a local address, None for a remote one."""
    if address.startswith("file://"):
        return Path(address.removeprefix("file://"))
    return None if "://" in address else Path(address)


def join(address: str, *parts: str) -> str:
    """Give the address of something inside a folder."""
    return "/".join([address.rstrip("/"), *parts])


def exists(address: str) -> bool:
    """Say whether a file or a folder is there."""
    path = local_path(address)
    if path is not None:
        return path.exists()
    from pyarrow.fs import FileType

    filesystem, inner = open_remote(address)
    return bool(filesystem.get_file_info(inner).type != FileType.NotFound)


def list_names(address: str) -> list[str]:
    """Give the sorted names of a folder's direct children; none when it is absent."""
    path = local_path(address)
    if path is not None:
        return sorted(child.name for child in path.iterdir()) if path.is_dir() else []
    from pyarrow.fs import FileSelector

    filesystem, inner = open_remote(address)
    infos = filesystem.get_file_info(FileSelector(inner, allow_not_found=True))
    return sorted(info.base_name for info in infos)


def read_bytes(address: str) -> bytes:
    """Read a whole file; raises NotFoundError when it is absent, StorageError otherwise."""
    path = local_path(address)
    try:
        if path is not None:
            return path.read_bytes()
        filesystem, inner = open_remote(address)
        with filesystem.open_input_stream(inner) as stream:
            data: bytes = stream.read()
            return data
    except FileNotFoundError as error:
        raise NotFoundError(f"{address} does not exist. Check the address") from error
    except OSError as error:
        raise StorageError(f"{address} could not be read: {error}") from error


def open_input(address: str) -> "NativeFile":
    """Open a file for reading at any place of it; a local one is mapped into memory.

    Raises NotFoundError when it is absent.
    """
    import pyarrow as pa

    path = local_path(address)
    try:
        if path is not None:
            return pa.memory_map(str(path))
        filesystem, inner = open_remote(address)
        return filesystem.open_input_file(inner)
    except FileNotFoundError as error:
        raise NotFoundError(f"{address} does not exist. Check the address") from error
    except OSError as error:
        raise StorageError(f"{address} could not be read: {error}") from error


def write_atomically(address: str, data: bytes) -> None:
    """Write a whole file so that it is there entirely or not at all, also after a power cut."""
    path = local_path(address)
    try:
        if path is None:
            filesystem, inner = open_remote(address)
            with filesystem.open_output_stream(inner) as stream:
                stream.write(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(path)
        try:
            _write_synced(temporary, data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{address} could not be written: {error}") from error


def create_exclusively(address: str, data: bytes) -> bool:
    """Create a file that nobody else created; False when it is there already.

    Object stores have no exclusive create here: the check and the write are two steps there.
    """
    path = local_path(address)
    try:
        if path is None:
            if exists(address):
                return False
            write_atomically(address, data)
            return True
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(path)
        try:
            _write_synced(temporary, data)
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
        return True
    except OSError as error:
        raise StorageError(f"{address} could not be created: {error}") from error


def append_lines(address: str, lines: Sequence[str]) -> None:
    """Append whole lines to a text file; one writer at a time."""
    data = "".join(f"{line}\n" for line in lines).encode()
    path = local_path(address)
    if path is None:
        before = read_bytes(address) if exists(address) else b""
        write_atomically(address, before + data)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"{address} could not be appended to: {error}") from error


def make_folder(address: str) -> None:
    """Make a folder and its parents; one that is there is fine."""
    path = local_path(address)
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            filesystem, inner = open_remote(address)
            filesystem.create_dir(inner, recursive=True)
    except OSError as error:
        raise StorageError(f"{address} could not be made: {error}") from error


def delete(address: str) -> None:
    """Delete a file or a whole folder; one that is absent is fine."""
    path = local_path(address)
    try:
        if path is None:
            from pyarrow.fs import FileType

            filesystem, inner = open_remote(address)
            kind = filesystem.get_file_info(inner).type
            if kind == FileType.Directory:
                filesystem.delete_dir(inner)
            elif kind == FileType.File:
                filesystem.delete_file(inner)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{address} could not be deleted: {error}") from error


def upload(local: Path, address: str) -> None:
    """Copy one local file to an address, there entirely or not at all."""
    path = local_path(address)
    try:
        if path is None:
            from pyarrow.fs import LocalFileSystem, copy_files

            filesystem, inner = open_remote(address)
            copy_files(
                str(local),
                inner,
                source_filesystem=LocalFileSystem(),
                destination_filesystem=filesystem,
            )
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(path)
        try:
            shutil.copyfile(local, temporary)
            sync_file(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{local} could not be copied to {address}: {error}") from error


def download(address: str, local: Path) -> None:
    """Copy one file from an address into a local file, there entirely or not at all."""
    path = local_path(address)
    if path is not None:
        upload(path, str(local))
        return
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(local)
    try:
        filesystem, inner = open_remote(address)
        with filesystem.open_input_stream(inner) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
        os.replace(temporary, local)
    except FileNotFoundError as error:
        raise NotFoundError(f"{address} does not exist. Check the address") from error
    except OSError as error:
        raise StorageError(f"{address} could not be fetched: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """Hash a local file's bytes (xxh3, 128 bits, hexadecimal)."""
    state = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            state.update(chunk)
            beat()
    return state.hexdigest()


def bytes_hash(data: bytes) -> str:
    """Hash bytes (xxh3, 128 bits, hexadecimal)."""
    return xxhash.xxh3_128_hexdigest(data)


def sync_file(path: Path) -> None:
    """Push a file's bytes to the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    beat()


def sync_folder(path: Path) -> None:
    """Push a folder's entries to the disk, so that a rename in it lasts."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def open_remote(address: str) -> "tuple[FileSystem, str]":
    """Give the filesystem of a remote address and the path in it."""
    from pyarrow.fs import FileSystem

    try:
        filesystem, inner = FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        raise StorageError(f"{address} is not an address that can be opened: {error}") from error
    return filesystem, inner
