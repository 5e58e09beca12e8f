"""Which files, folders and queries a recipe's data are; what stands in them is read elsewhere."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from pydantic import BaseModel

from configs.data_sections import Data
from configs.errors import DataError, NotFoundError
from configs.model_sections import Model
from configs.source_sections import SourceEntry, is_database, source_entries
from trainers import listing, storage
from trainers.data.databases import hash_rows, shown_url
from trainers.data.delimited_form import Quotes
from trainers.data.hub_folders import find_hub_files, find_saved_files, is_saved_folder
from trainers.data.image_folders import find_classes, hash_images
from trainers.data.store import FROZEN, SPLITS, SplitName
from trainers.data.text_streams import COMPRESSED, without_compression

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow",
}
UNNAMED = "unnamed"
TOKENIZER_FILES = (
    "tokenizer*",
    "vocab*",
    "merges*",
    "special_tokens*",
    "added_tokens*",
    "config.json",
    "preprocessor*",
    "processor*",
    "*.model",
    "*.tiktoken",
)


class Source(BaseModel):
    """One file, folder of one class or query with labelled rows."""

    model_config = FROZEN
    split: SplitName
    address: str
    format: str
    hash: str = ""
    """Hash of the bytes, of a query's rows for a database; empty before `hash_source`."""
    image_hash: str = ""
    """Hash of the image files that its rows name, where a task reads such."""
    num_bytes: int = 0
    name: str = UNNAMED
    """What the rows' source is called; several files may be one source."""
    weight: float | None = None
    max_rows: int | None = None
    columns: dict[str, str] = {}
    encoding: str = "utf-8"
    pair: str | None = None
    field: str | None = None
    query: str | None = None
    delimiter: str | None = None
    quotes: Quotes = "checked"
    """How a csv or tsv file is written, where the recipe says it."""
    classes: dict[str, tuple[str, ...]] = {}
    """Names of the classes of columns that hold class numbers."""

    @property
    def shown(self) -> str:
        """Address without a password."""
        return shown_url(self.address) if self.format == "sql" else self.address

    @property
    def content(self) -> str:
        """All that the rows depend on; where they lie and how files are called is not."""
        return self.model_dump_json(exclude={"address", "num_bytes", "pair", "query"})

    @property
    def takes_part(self) -> bool:
        """Whether rows of it may be left out for the sake of a mix."""
        return self.weight is not None or self.max_rows is not None

    @property
    def is_compressed(self) -> bool:
        """Whether the rows are larger than the bytes they are read from."""
        return self.format == "parquet" or listing.file_name(self.address).endswith(COMPRESSED)


def list_sources(data: Data, splits: Sequence[SplitName] = SPLITS) -> tuple[Source, ...]:
    """Find the files of the data, of these splits alone.

    Raises DataError for a path or glob that finds nothing.
    """
    found: list[Source] = []
    given = {"train": data.train, "validation": data.validation, "test": data.test}
    form = {"delimiter": data.delimiter, "quotes": data.quotes or "checked"}
    for split in splits:
        for number, entry in enumerate(source_entries(given[split]), 1):
            kind = entry.format if entry.format != "auto" else data.format
            sources = (each for path in entry.paths for each in _expand(split, entry, path, kind))
            name = entry.name or (UNNAMED if _takes_all(entry) else f"source-{number}")
            own = {"name": name, **form}
            once = {each.address: each.model_copy(update=own) for each in sources}
            known = {(each.split, each.name, each.address) for each in found}
            found += [s for s in once.values() if (s.split, s.name, s.address) not in known]
    return tuple(found)


def find_input(path: str, kind: str = "auto") -> tuple[Source, ...]:
    """Find the files of an input that no recipe names, such as rows to predict, in their order.

    `kind` is their format where their names do not tell it. Raises DataError for a path or glob
    that finds nothing.
    """
    return tuple(_expand(None, SourceEntry(path=path), path, kind))


def hash_source(source: Source) -> Source:
    """Read a file once and give the source with its hash and size filled in."""
    if source.format == "sql":
        digest, num_bytes = hash_rows(source.address, source.query or "")
    elif source.format == "images":
        digest, num_bytes = hash_images(source.address)
    else:
        digest, num_bytes = _file(source.address)
        if source.pair is not None:
            other, more = _file(source.pair)
            digest, num_bytes = f"{digest} {other}", num_bytes + more
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
        copy = Path(folder, listing.file_name(address))
        try:
            storage.download(address, copy)
        except NotFoundError as error:
            raise DataError(f"{address} does not exist. Check the address") from error
        yield copy


def _expand(split: SplitName | None, entry: SourceEntry, path: str, kind: str) -> list[Source]:
    """Give the sources that one path, address or glob of an entry names."""
    if is_database(path) or kind == "sql":
        return [_source(split, entry, path, "sql")]
    files = listing.find_files(path)
    if entry.pair is not None:
        if len(files) != 1 or len(listing.find_files(entry.pair)) != 1:
            missing = path if len(files) != 1 else entry.pair
            raise DataError(
                f"{_where(split)}{missing} is not one file. Name one with texts and one with labels"
            )
        return [_source(split, entry, files[0], "text")]
    if files:
        return [_source(split, entry, file, _format(kind, file, split)) for file in files]
    if not listing.is_glob(path) and listing.is_folder(path):
        return _expand_folder(split, entry, path.rstrip("/"), kind)
    place = storage.local_path(path)
    if place is not None and place.exists():
        raise DataError(f"{_where(split)}{path} is a device or a pipe. Name a file with rows")
    problem = "matches no file" if listing.is_glob(path) else "does not exist"
    raise DataError(f"{_where(split)}{path} {problem}. {_advice(path)}")


def _expand_folder(
    split: SplitName | None, entry: SourceEntry, folder: str, kind: str
) -> list[Source]:
    wanted = entry.split or split or "test"
    if kind in ("auto", "hf") and is_saved_folder(folder):
        files, classes = find_saved_files(folder, wanted)
        sources = [_source(split, entry, file, "arrow") for file in files]
        return [source.model_copy(update={"classes": classes}) for source in sources]
    if folder.startswith("hf://"):
        files = find_hub_files(folder, wanted)
        return [_source(split, entry, file, _format("auto", file)) for file in files]
    classes_of_images = find_classes(folder) if kind in ("auto", "images") else []
    if classes_of_images:
        return [_source(split, entry, each, "images") for each in classes_of_images]
    raise DataError(
        f"{_where(split)}{folder} is a folder that has neither images in one folder a class nor "
        f"what save_to_disk writes. Name files, such as {folder}/*.csv"
    )


def _source(split: SplitName | None, entry: SourceEntry, address: str, kind: str) -> Source:
    same = {"weight", "max_rows", "columns", "encoding", "pair", "field", "query"}
    options = entry.model_dump(include=same)
    return Source(split=split or "test", address=address, format=kind, **options)


def _where(split: SplitName | None) -> str:
    return "" if split is None else f"data.{split}: "


def _takes_all(entry: SourceEntry) -> bool:
    return entry.weight is None and entry.max_rows is None


def _file(address: str) -> tuple[str, int]:
    with local_copy(address) as path:
        try:
            return storage.file_hash(path), path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{address} cannot be read: {error.strerror}. Check who may read it"
            ) from error


def _advice(pattern: str) -> str:
    folder, _, last = pattern.rpartition("/")
    near = get_close_matches(last, storage.list_names(folder or "."), n=2, cutoff=0.5)
    if near:
        return f"Check the path; near it: {', '.join(near)}"
    return "Check the path, as the machines that prepare the data see it"


def _format(kind: str, address: str, split: SplitName | None = "train") -> str:
    if kind == "hf":
        raise DataError(
            f"{address} is a file, and hf is for folders of save_to_disk. Set data.format to the "
            "file's own, or leave it out"
        )
    if kind != "auto":
        return kind
    suffixes = PurePosixPath(without_compression(listing.file_name(address).lower())).suffixes
    if suffixes and suffixes[-1] in FORMATS:
        return FORMATS[suffixes[-1]]
    raise DataError(
        f"{address}: its name does not tell its format. "
        f"{'Give --format' if split is None else 'Set data.format to'} csv, tsv, json, jsonl, "
        "parquet or arrow"
    )
