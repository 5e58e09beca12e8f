"""Find files by address or glob, local or remote; reading and writing them is storage's."""

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from configs.errors import StorageError
from trainers.storage import local_path, open_remote

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

MARKS = re.compile(r"[*?[]")
REACH = "See whether this machine reaches it, and has its keys"
WILDCARDS = re.compile(r"\*\*/|\*\*|\*|\[!?[^]]+\]")


class Found(NamedTuple):
    """A file and its size."""

    address: str
    num_bytes: int


def is_glob(pattern: str) -> bool:
    """Say whether a pattern may mean several files; a remote address may end in ?key=value."""
    return MARKS.search(_parts(pattern)[1]) is not None


def file_name(address: str) -> str:
    """Give the last part of an address, without the options of a remote one."""
    return _parts(address)[1].rstrip("/").rpartition("/")[2]


def find_files(pattern: str) -> list[str]:
    """Give the sorted addresses of the files that an address or a glob means.

    `**` means any number of folders. Raises StorageError for a storage that does not answer.
    """
    path = local_path(pattern)
    if path is not None:
        if path.is_file():
            return [str(path)]
        return sorted(p for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    scheme, inner, options = _parts(pattern)
    mark = MARKS.search(inner)
    if mark is None:
        return [pattern] if _kind(pattern) == "File" else []
    folder = inner[: mark.start()].rpartition("/")[0]
    wanted = re.compile(_regex(inner))
    recursive = "/" in inner[len(folder) + 1 :] or "**" in inner
    found = _select(f"{scheme}{folder}{options}", recursive=recursive)
    return sorted(each.address for each in found if wanted.fullmatch(_parts(each.address)[1]))


def is_folder(address: str) -> bool:
    """Say whether an address is a folder's."""
    path = local_path(address)
    return path.is_dir() if path is not None else _kind(address) == "Directory"


def list_files(folder: str) -> list[Found]:
    """Give all files at any depth below a folder, sorted by address; hidden ones are left out."""
    path = local_path(folder)
    if path is None:
        found = _select(folder, recursive=True)
    else:
        files = (each for each in path.rglob("*") if each.is_file())
        found = [Found(str(each), each.stat().st_size) for each in files]
    return sorted(each for each in found if not file_name(each.address).startswith("."))


def list_folders(folder: str) -> list[str]:
    """Give the addresses of the folders directly in a folder, sorted; hidden ones are left out."""
    path = local_path(folder)
    if path is not None:
        return sorted(str(p) for p in path.iterdir() if p.is_dir() and p.name[:1] != ".")
    scheme, inner, options = _parts(folder)
    start = len(inner.rstrip("/")) + 1
    below = (_parts(found.address)[1][start:] for found in _select(folder, recursive=True))
    names = {name for name, slash, _ in (each.partition("/") for each in below) if slash}
    return sorted(f"{scheme}{inner.rstrip('/')}/{n}{options}" for n in names if n[:1] != ".")


def _select(folder: str, *, recursive: bool) -> list[Found]:
    """List the files of a remote folder; none where there is no such folder."""
    from pyarrow.fs import FileSelector, FileType

    scheme, _, options = _parts(folder)
    filesystem, inner = open_remote(folder)
    selector = FileSelector(inner, recursive=recursive, allow_not_found=True)
    try:
        infos: list[FileInfo] = filesystem.get_file_info(selector)
    except OSError as error:
        raise StorageError(f"{folder} cannot be listed: {_one_line(error)}. {REACH}") from error
    files = [info for info in infos if info.type == FileType.File]
    return [Found(f"{scheme}{info.path.lstrip('/')}{options}", info.size or 0) for info in files]


def _kind(address: str) -> str:
    filesystem, inner = open_remote(address)
    try:
        return str(filesystem.get_file_info(inner).type.name)
    except OSError as error:
        raise StorageError(f"{address} cannot be looked at: {_one_line(error)}. {REACH}") from error


def _parts(address: str) -> tuple[str, str, str]:
    """Split an address into scheme, path and options; a local one is a path alone."""
    if "://" not in address or address.startswith("file://"):
        return "", address.removeprefix("file://"), ""
    scheme, mark, rest = address.partition("://")
    path, question, options = rest.partition("?")
    return scheme + mark, path, question + options


def _regex(pattern: str) -> str:
    """Turn a glob into a regular expression."""
    expression, place = "", 0
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    for found in WILDCARDS.finditer(pattern):
        expression += re.escape(pattern[place : found.start()])
        sign = found.group()
        expression += meanings.get(sign) or sign.replace("[!", "[^", 1)
        place = found.end()
    return expression + re.escape(pattern[place:])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
