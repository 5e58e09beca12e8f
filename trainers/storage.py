"""Read and write whole files at a local path, s3:// or gs://; what they hold is the caller's.

Torch-free. Local files are written to a temporary name, synced and renamed, so a reader never sees
half a file; object stores do that by themselves. Who tries again stands in persistence.py.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from configs.addresses import WITH_BUCKET
from configs.errors import LockedError, NotFoundError, StorageError, reason_of
from trainers.heartbeat import beat
from trainers.masking import masked, masked_bytes

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

CHUNK_BYTES = 8 * 2**20
_STAYING: set[Path] = set()
BROKEN = re.compile(r"(s3|gs|gcs|abfss?|hdfs|hf|file):")
"""What a remote address begins with; without two slashes behind it, it is none."""


@contextmanager
def staying(address: str) -> Iterator[None]:
    """Let nothing be made in a local folder of that name while the folder itself is not there.

    A run's folder may be moved or deleted, or lie on a disk that goes away; who then makes the
    folders above a file makes a second run of the rest. What is written meanwhile is a StorageError
    and is tried again as with any storage that is gone. Nothing is done about a remote address.
    """
    path = local_path(address)
    added = {path.absolute()} - _STAYING if path is not None else set()
    _STAYING.update(added)
    try:
        yield
    finally:
        _STAYING.difference_update(added)


def make_parents(path: Path) -> None:
    """Make the folders above a path; raises StorageError where one that must stay is gone."""
    kept = next((one for one in path.absolute().parents if one in _STAYING), None)
    if kept is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    folders = [one for one in path.absolute().parents if one.is_relative_to(kept)]
    try:
        for folder in reversed(folders[:-1]):
            folder.mkdir(exist_ok=True)
        kept.stat()
    except FileNotFoundError as error:
        raise StorageError(f"{kept} is gone: it was moved or deleted. Put it back") from error


def local_path(address: str) -> Path | None:
    """Give the path of a local address, None for a remote one.

    Raises StorageError for what is neither: `s3:/x` and `file://x` would be folders here.
    """
    if address.startswith("file://"):
        path = address.removeprefix("file://")
        if not path.startswith("/"):
            raise StorageError(f"{address} names no whole path. Write file:///folder")
        return Path(path)
    if "://" in address:
        return None
    if BROKEN.match(address):
        raise StorageError(f"{address} is neither a path nor an address. Write s3://bucket/folder")
    return Path(address)


def join(address: str, *parts: str) -> str:
    """Give the address of something inside a folder.

    Raises StorageError for a remote address without a bucket, which has no inside.
    """
    scheme, mark, path = address.partition("://")
    if scheme in WITH_BUCKET and (not path or path.startswith("/")):
        raise StorageError(f"{address} names no bucket. Write {scheme}://bucket/folder")
    if mark:
        return "/".join([f"{scheme}://{path.rstrip('/')}", *parts])
    return "/".join([address.rstrip("/"), *parts])


def exists(address: str) -> bool:
    """Say whether a file or a folder is there."""
    path = local_path(address)
    with _told(address, "looked up"):
        if path is not None:
            return path.exists()
        from pyarrow.fs import FileType

        filesystem, inner = open_remote(address)
        return bool(filesystem.get_file_info(inner).type != FileType.NotFound)


def lexists(address: str) -> bool:
    """Return whether anything has this name, a link that leads nowhere too."""
    path = local_path(address)
    return os.path.lexists(path) if path is not None else exists(address)


def is_file(address: str) -> bool:
    """Return whether a file is there, not a folder."""
    path = local_path(address)
    with _told(address, "looked up"):
        if path is not None:
            return path.is_file()
        from pyarrow.fs import FileType

        filesystem, inner = open_remote(address)
        return bool(filesystem.get_file_info(inner).type == FileType.File)


def list_names(address: str, *, files_only: bool = False) -> list[str]:
    """Give the sorted names of a folder's direct children; none when it is absent."""
    with _told(address, "listed"):
        if (path := local_path(address)) is not None:
            children = path.iterdir() if path.is_dir() else ()
            return sorted(child.name for child in children if not files_only or child.is_file())
        from pyarrow.fs import FileSelector

        filesystem, inner = open_remote(address)
        infos = filesystem.get_file_info(FileSelector(inner, allow_not_found=True))
        return sorted(info.base_name for info in infos if not files_only or info.is_file)


def list_below(address: str) -> list[str]:
    """Return the sorted paths, relative to a remote folder, of all files at any depth below it."""
    from pyarrow.fs import FileSelector

    filesystem, inner = open_remote(address)
    with _told(address, "listed"):
        selector = FileSelector(inner, recursive=True, allow_not_found=True)
        infos = filesystem.get_file_info(selector)
    start = len(inner.rstrip("/")) + 1
    return sorted(info.path[start:] for info in infos if info.is_file)


def num_bytes(address: str) -> int:
    """Give the size of a file; raises NotFoundError when it is absent."""
    path = local_path(address)
    with _told(address, "looked up", missing=True):
        if path is not None:
            return path.stat().st_size
        from pyarrow.fs import FileType

        filesystem, inner = open_remote(address)
        info = filesystem.get_file_info(inner)
        if info.type == FileType.NotFound:
            raise FileNotFoundError(address)
        return int(info.size)


def read_bytes(address: str) -> bytes:
    """Read a whole file; raises NotFoundError when it is absent, StorageError otherwise."""
    path = local_path(address)
    with _told(address, "read", missing=True):
        if path is not None:
            return path.read_bytes()
        filesystem, inner = open_remote(address)
        with filesystem.open_input_stream(inner) as stream:
            data: bytes = stream.read()
            return data


def open_input(address: str) -> "NativeFile":
    """Open a file for reading at any place of it; a local one is mapped into memory.

    Raises NotFoundError when it is absent.
    """
    import pyarrow as pa

    path = local_path(address)
    with _told(address, "read", missing=True):
        if path is not None:
            return pa.memory_map(str(path))
        filesystem, inner = open_remote(address)
        return filesystem.open_input_file(inner)


def write_atomically(address: str, data: bytes) -> None:
    """Write a whole small file so that it is there entirely or not at all, also after a power cut.

    Without secrets, whatever they came in with: a hash of such data is taken of `masked_bytes`.
    """
    write_chunks(address, [masked_bytes(data)])


def write_chunks(
    address: str, chunks: Iterable[bytes | memoryview], *, replace: bool = True
) -> None:
    """Write a file from its parts; it is there entirely or not at all, also after a power cut.

    Without `replace` it raises LockedError where there is something already; in an object store
    the look and the write are two steps.
    """
    path = local_path(address)
    if not replace and lexists(address):
        raise LockedError(f"{address} is there already. Name another file, or give --overwrite")
    with _told(address, "written"):
        if path is None:
            _write_remote(address, chunks)
            return
        make_parents(path)
        temporary = _temporary_name(path)
        try:
            _write_synced(temporary, chunks)
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)
        except FileExistsError as error:
            raise LockedError(
                f"{address} was written by somebody else just now. Name another file"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def create_exclusively(address: str, data: bytes) -> bool:
    """Create a file that nobody else created; False when it is there already.

    Object stores have no exclusive create here: the check and the write are two steps there.
    """
    path = local_path(address)
    if path is None:
        if exists(address):
            return False
        write_atomically(address, data)
        return True
    with _told(address, "created"):
        make_parents(path)
        temporary = _temporary_name(path)
        try:
            _write_synced(temporary, [masked_bytes(data)])
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)
        return True


def append_lines(address: str, lines: Sequence[str]) -> None:
    """Append whole lines without secrets, all of them or none; one writer at a time."""
    append(address, masked("".join(f"{line}\n" for line in lines)).encode(), lines=True)


def append(address: str, data: bytes, *, lines: bool = False) -> None:
    """Append bytes to a file, all of them or none; one writer at a time.

    With `lines` a last line without an end, whose writer died, is ended first.
    """
    path = local_path(address)
    if path is None:
        before = read_bytes(address) if exists(address) else b""
        end = b"\n" if lines and before and not before.endswith(b"\n") else b""
        write_atomically(address, before + end + data)
        return
    with _told(address, "appended to"):
        make_parents(path)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before_it = os.fstat(descriptor).st_size
            is_cut = lines and before_it and os.pread(descriptor, 1, before_it - 1) != b"\n"
            rest = memoryview(b"\n" + data if is_cut else data)
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                # A full disk takes the first half of a line.
                os.ftruncate(descriptor, before_it)
                raise
        finally:
            os.close(descriptor)


def make_folder(address: str) -> None:
    """Make a folder and its parents; one that is there is fine."""
    path = local_path(address)
    with _told(address, "made"):
        if path is not None:
            make_parents(path / "in it")
        else:
            filesystem, inner = open_remote(address)
            filesystem.create_dir(inner, recursive=True)


def delete(address: str) -> None:
    """Delete a file or a whole folder; one that is absent is fine."""
    path = local_path(address)
    with _told(address, "deleted"), suppress(FileNotFoundError):
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


def rename(address: str, new: str) -> None:
    """Give a file or a folder another name on the same storage, which nobody may have."""
    path, target = local_path(address), local_path(new)
    with _told(address, "renamed"):
        if path is not None and target is not None:
            os.rename(path, target)
        else:
            filesystem, inner = open_remote(address)
            filesystem.move(inner, open_remote(new)[1])


def upload(local: Path, address: str, *, replace: bool = True) -> None:
    """Copy one local file to an address, there entirely or not at all.

    Without `replace` it raises LockedError where there is something already.
    """
    with _told(str(local), "read"), local.open("rb") as source:
        chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
        write_chunks(address, chunks, replace=replace)


def download(address: str, local: Path) -> None:
    """Copy one file from an address into a local file, there entirely or not at all."""
    path = local_path(address)
    if path is not None:
        upload(path, str(local))
        return
    with _told(address, "fetched", missing=True):
        filesystem, inner = open_remote(address)
        with filesystem.open_input_stream(inner) as source:
            write_chunks(str(local), iter(lambda: source.read(CHUNK_BYTES), b""))


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


def sync(path: Path) -> None:
    """Push a file's bytes to the disk, or a folder's entries, so that a rename in it lasts."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(address: str, done: str, *, missing: bool = False) -> Iterator[None]:
    """Say what could not be done; with `missing`, a file that is absent is a NotFoundError."""
    try:
        yield
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{address} does not exist. Check the address") from error
        raise StorageError(f"{address} could not be {done}: {reason_of(error)}") from error


def _write_synced(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
            beat()
        stream.flush()
        os.fsync(stream.fileno())


def _write_remote(address: str, chunks: Iterable[bytes | memoryview]) -> None:
    filesystem, inner = open_remote(address)
    try:
        with filesystem.open_output_stream(inner) as stream:
            for chunk in chunks:
                stream.write(chunk)
    except OSError:
        # A stream that is closed keeps what it was given so far (pyarrow 26).
        with suppress(OSError):
            filesystem.delete_file(inner)
        raise


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def open_remote(address: str) -> "tuple[FileSystem, str]":
    """Give the filesystem of a remote address and the path in it."""
    from pyarrow.fs import FileSystem

    try:
        filesystem, inner = FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{address} is not an address that can be opened: {reason_of(error)}. Correct it"
        ) from error
    return filesystem, inner
