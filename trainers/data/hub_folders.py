"""The files of data sets in Hugging Face's layouts; their rows are read as those of any other file.

On disk that is what `save_to_disk` of their `datasets` writes: a folder with state.json per split.
On the hub it is a repository whose file names say to which split they belong.
"""

import json
import re
from typing import Any

from configs.errors import DataError, NotFoundError
from trainers import listing, storage

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""What the hub takes as the name of a split inside a file's path."""
DATA_SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")


def is_saved_folder(folder: str) -> bool:
    """Say whether `save_to_disk` wrote a folder."""
    return any(storage.exists(storage.join(folder, name)) for name in (SPLITS, STATE))


def find_saved_files(folder: str, split: str) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Give the Arrow files of a split in their order, and the class names of its columns.

    Raises DataError for a split that is not there, or files that the folder tells of and lacks.
    """
    splits = _json(folder, SPLITS).get("splits") if _has(folder, SPLITS) else None
    if splits is not None:
        if split not in splits:
            raise DataError(f"{folder} has no split {split}, only {', '.join(splits)}. Set split")
        folder = storage.join(folder, split)
    state = _json(folder, STATE)
    if state.get("_indices_data_files"):
        raise DataError(f"{folder} keeps its rows by number. Save it again after flatten_indices")
    files = [storage.join(folder, each["filename"]) for each in state["_data_files"]]
    for file in files:
        if not storage.exists(file):
            raise DataError(f"{file} is missing, though {STATE} names it. Copy the folder again")
    features = (_json(folder, INFO) if _has(folder, INFO) else {}).get("features") or {}
    names = {column: _class_names(feature) for column, feature in features.items()}
    return files, {column: found for column, found in names.items() if found}


def find_hub_files(address: str, split: str) -> list[str]:
    """Give the files of a split in a repository; raises DataError where their names tell none."""
    files = [
        file.address
        for file in listing.list_files(address)
        if listing.file_name(file.address).lower().endswith(DATA_SUFFIXES)
    ]
    names = "|".join(WORDS.get(split, (re.escape(split),)))
    word = re.compile(rf"(^|[^a-z0-9])({names})([^a-z]|$)")
    found = [file for file in files if word.search(file.removeprefix(address).lower())]
    if not found:
        listed = ", ".join(file.removeprefix(address).lstrip("/") for file in files[:6])
        raise DataError(
            f"{address} has no file whose name tells it is {split}. "
            f"Give a glob of its files instead; it has: {listed or 'no data files'}"
        )
    return found


def _class_names(feature: Any) -> tuple[str, ...]:
    """Give the names of a column's classes, also where they stand in lists; none for no classes."""
    if isinstance(feature, list) and len(feature) == 1:
        return _class_names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(feature["names"])
    return _class_names(feature["feature"]) if "feature" in feature else ()


def _has(folder: str, name: str) -> bool:
    return storage.exists(storage.join(folder, name))


def _json(folder: str, name: str) -> dict[str, Any]:
    address = storage.join(folder, name)
    try:
        found = json.loads(storage.read_bytes(address))
    except NotFoundError as error:
        raise DataError(f"{address} is missing. Copy the folder again") from error
    except ValueError as error:
        raise DataError(f"{address} is no JSON ({error}). Copy the folder again") from error
    if not isinstance(found, dict):
        raise DataError(f"{address} is not what save_to_disk writes. Save the data set again")
    return found
