"""What may be the address of a folder or a file: a path, or one of a remote storage.

Nothing is looked up here; what is not there is found by those who open it.
"""

import os
import posixpath
import re
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator

from configs.errors import RecipeError
from configs.secret_words import without_secrets

MAX_CHARACTERS = 4_000
MAX_NAME_BYTES = 255
"""Bytes of one part of a path that file systems take."""
MAX_SHOWN = 80
WITH_BUCKET = ("s3", "gs", "gcs", "abfs", "abfss")
STORAGES = (*WITH_BUCKET, "hdfs", "viewfs")
"""Schemes of storages that runs can be written to."""
FOR_READING = ("hf",)
OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "az": "abfs", "azure": "abfs", "wasb": "abfs"}
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VARIABLE = re.compile(r"\$(\w+|[{(])")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
OF_THE_SYSTEM = ("/proc", "/sys", "/dev")
"""Folders whose entries are no files."""
MEMORY = "/dev/shm"


def address_problem(address: str, *, to_write: bool) -> str | None:
    """Say what keeps an address from being one of files; None when nothing does.

    With `to_write` it is one that a run, an export or predictions are to be written to.
    """
    shown = shown_address(address)
    if not address.strip():
        return f"{shown} is empty. Give a path, or an address such as s3://bucket/folder"
    if found := CONTROL.search(address):
        return f"{shown} holds the character {found.group()!r}. Take it out"
    if len(address) > MAX_CHARACTERS:
        limit = f"at most {MAX_CHARACTERS:,} are taken"
        return f"{shown} has {len(address):,} characters, {limit}. Shorten it"
    if to_write and (found := VARIABLE.search(address)):
        return (
            f"{shown} holds {found.group()}, which is not replaced by its value here. Write it out"
        )
    scheme = SCHEME.match(address)
    if scheme is not None and (scheme[2] or _is_known(scheme[1])):
        return _remote_problem(address, scheme, shown, to_write=to_write)
    return _local_problem(address, shown, to_write=to_write)


def check_address(address: str) -> str:
    """Give an address to write to back; raises RecipeError for what is none."""
    if problem := address_problem(address, to_write=True):
        raise RecipeError(problem)
    return address


def expanded(address: str) -> str:
    """Put a person's home for `~`; raises RecipeError for that of nobody."""
    whole = os.path.expanduser(address)
    if whole.startswith("~"):
        name = whole.partition("/")[0]
        raise RecipeError(
            f"{shown_address(address)}: {name} is nobody's home on this machine. Write ./{name} "
            "for a folder of that name, or the whole path"
        )
    return whole


def shown_address(address: str) -> str:
    """Give an address as a sentence can hold it."""
    address = without_secrets(address)
    cut = address if len(address) <= MAX_SHOWN else f"{address[:MAX_SHOWN]}..."
    plain = cut.isprintable() and cut.strip() == cut != ""
    return cut if plain and "; " not in cut else repr(cut).replace("; ", ";")


def _is_known(scheme: str) -> bool:
    names = (*STORAGES, *FOR_READING, *OTHER_NAMES, "file", "http", "https")
    return scheme.lower() in names


def _remote_problem(
    address: str, scheme: re.Match[str], shown: str, *, to_write: bool
) -> str | None:
    name, rest = scheme[1], address[scheme.end() :]
    if not scheme[2]:
        return f"{shown} is neither a path nor an address. Write {name}://{rest.lstrip('/')}"
    if name.startswith("fsspec+"):
        return None
    if name == "file":
        return _file_problem(rest, shown, to_write=to_write)
    known = STORAGES if to_write else (*STORAGES, *FOR_READING)
    if name not in known:
        near = get_close_matches(name.lower(), known, n=1)
        meant = OTHER_NAMES.get(name.lower()) or (near[0] if near else None)
        hint = f"Write {meant}://" if meant else f"Use a path or one of {', '.join(known)}"
        done = "written" if to_write else "read"
        return f"{shown}: {name}:// is no storage that can be {done}. {hint}"
    path, _, _ = rest.partition("?")
    bucket = path.partition("/")[0].rpartition("@")[2]
    if name in WITH_BUCKET and not bucket:
        return f"{shown} names no bucket. Write {name}://bucket/folder"
    if name in WITH_BUCKET and not BUCKET.fullmatch(bucket):
        return f"{shown}: {bucket!r} is no bucket's name. Correct it"
    return None


def _file_problem(rest: str, shown: str, *, to_write: bool) -> str | None:
    if not rest.startswith("/"):
        return f"{shown} names no whole path. Write file:///folder, with three slashes"
    return _local_problem(rest, shown, to_write=to_write)


def _local_problem(address: str, shown: str, *, to_write: bool) -> str | None:
    if long := next((part for part in address.split("/") if _bytes(part) > MAX_NAME_BYTES), None):
        said = f"has a name of {_bytes(long):,} bytes, file systems take {MAX_NAME_BYTES}"
        return f"{shown} {said}. Shorten it"
    path = posixpath.normpath(address)
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    if to_write and path == "/":
        return f"{shown} is the root of the file system. Name a folder in it"
    if is_of_the_system(path):
        return f"{shown} is a place of the system that holds no files. Name another"
    return None


def is_of_the_system(path: str) -> bool:
    """Whether an absolute path lies where the system shows itself, such as /proc."""
    inside = (*(path == top or path.startswith(f"{top}/") for top in OF_THE_SYSTEM),)
    return any(inside) and not (path == MEMORY or path.startswith(f"{MEMORY}/"))


def _bytes(name: str) -> int:
    return len(os.fsencode(name)) if name.isascii() else len(name.encode("utf-8", "replace"))


def _to_write(address: str) -> str:
    if problem := address_problem(address, to_write=True):
        raise ValueError(problem)
    return address


FolderToWrite = Annotated[str, AfterValidator(_to_write)]
