"""Which files a recipe's data are; what stands in them is read elsewhere."""

import fnmatch
import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from pydantic import BaseModel

from configs.data_sections import Data
from configs.errors import DataError, NotFoundError
from configs.model_sections import Model
from trainers import storage
from trainers.data.store import FROZEN, SPLITS, SplitName

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TOKENIZER_FILES = (
    "tokenizer*",
    "vocab*",
    "merges*",
    "special_tokens*",
    "added_tokens*",
    "config.json",
    "*.model",
    "*.tiktoken",
)


class Source(BaseModel):
    """One file with labelled rows."""

    model_config = FROZEN
    split: SplitName
    address: str
    format: str
    hash: str = ""
    """Hash of the file's bytes; empty before `hash_source`."""
    num_bytes: int = 0


def list_sources(data: Data) -> tuple[Source, ...]:
    """Find the files of the data; raises DataError for a path or glob that finds nothing."""
    found = []
    for split in SPLITS:
        asked = {"train": data.train, "validation": data.validation, "test": data.test}[split]
        if asked is None or isinstance(asked, float):
            continue
        patterns = (asked,) if isinstance(asked, str) else asked
        if not patterns:
            raise DataError(f"data.{split} is an empty list. Name at least one file")
        addresses = [each for pattern in patterns for each in _expand(f"data.{split}", pattern)]
        found += [
            Source(split=split, address=address, format=_format(data, address))
            for address in dict.fromkeys(addresses)
        ]
    return tuple(found)


def hash_source(source: Source) -> Source:
    """Read a file once and give the source with its hash and size filled in."""
    with local_copy(source.address) as path:
        try:
            digest, num_bytes = storage.file_hash(path), path.stat().st_size
        except OSError as error:
            raise DataError(f"{source.address} cannot be read: {error.strerror}") from error
    return source.model_copy(update={"hash": digest, "num_bytes": num_bytes})


def tokenizer_key(model: Model) -> str:
    """Tell tokenizers apart: by their files for a folder, by name and revision for a hub model."""
    folder = storage.local_path(model.path)
    if folder is None or not folder.is_dir():
        return f"{model.path}@{model.revision}"
    files = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}
    hashes = [f"{path.name}={storage.file_hash(path)}" for path in sorted(files) if path.is_file()]
    return ",".join(hashes)


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Give a local path with an address's bytes: its own, or a copy that is deleted afterwards."""
    path = storage.local_path(address)
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="thaw-") as folder:
        copy = Path(folder, PurePosixPath(address).name)
        try:
            storage.download(address, copy)
        except NotFoundError as error:
            raise DataError(f"{address} does not exist. Check the address") from error
        yield copy


def _expand(key: str, pattern: str) -> list[str]:
    """Give the files that a path, an address or a glob names, sorted."""
    path = storage.local_path(pattern)
    if path is None:
        folder, _, last = pattern.rpartition("/")
        names = fnmatch.filter(storage.list_names(folder), last) if _is_glob(last) else [last]
        found = [storage.join(folder, name) for name in names]
        if found and storage.exists(found[0]):
            return found
    elif path.is_file():
        return [str(path)]
    elif path.is_dir():
        raise DataError(f"{key} names a folder ({pattern}). Name files, such as {pattern}/*.csv")
    else:
        found = sorted(
            name for name in glob.glob(str(path), recursive=True) if Path(name).is_file()
        )
        if found:
            return found
    kind = "matches no file" if _is_glob(pattern) else "does not exist"
    raise DataError(f"{key}: {pattern} {kind}. {_advice(pattern)}")


def _is_glob(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def _advice(pattern: str) -> str:
    folder, _, last = pattern.rpartition("/")
    near = get_close_matches(last, storage.list_names(folder or "."), n=2, cutoff=0.5)
    if near:
        return f"Near it: {', '.join(near)}"
    return "Check the path, as the machines that prepare the data see it"


def _format(data: Data, address: str) -> str:
    if data.format != "auto":
        return data.format
    suffixes = PurePosixPath(address.lower().removesuffix(".gz")).suffixes
    if suffixes and suffixes[-1] in FORMATS:
        return FORMATS[suffixes[-1]]
    raise DataError(
        f"{address}: its name does not tell its format. Set data.format to csv, tsv, json, jsonl "
        "or parquet"
    )
