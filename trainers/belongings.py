"""Know by their names which files of a folder Thaw wrote, and delete those alone.

Whatever else is in a folder is a person's: it stays where it is, and so do the folders around it.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trainers import storage

TEMPORARY = r"(?:[^/]+/)*\.[^/]+\.[0-9a-f]{12}\.tmp"
"""What storage.py writes a file under before it is whole."""
IN_COMMIT = r"MANIFEST\.json|rank-\d{5}\.(?:safetensors|json)|weights-\d{5}\.safetensors"
IN_LOGS = r"(?:rank-\d+\.[a-z.]+|(?:data|pause|outcome|failure)\.json|records\.jsonl)"
IN_EXPORT = (
    r"(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab"
    r"|preprocessor_config|processor_config|video_preprocessor_config|modules|thaw"
    r"|config_sentence_transformers|sentence_bert_config|1_Pooling/config|2_Dense/config)\.json"
    r"|model(?:-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|README\.md|vocab\.txt"
    r"|merges\.txt|chat_template\.jinja|[a-z.]+\.model|adapter/adapter_(?:config\.json|"
    r"model\.safetensors)|adapter/README\.md|pooled_classifier\.py|2_Dense/model\.safetensors"
)
"""What an export holds that does not list its files."""
LENT = ".predict-"
"""How the folder begins in which a job that predicts with a commit has its export meanwhile."""

COMMIT = re.compile(rf"{IN_COMMIT}|{TEMPORARY}")
RECORDS = re.compile(
    r"metrics\.jsonl|ledger\.jsonl|tensorboard/events\.out\.tfevents\.[^/]+"
    rf"|logs/(?:a\d\d+|[a-z]+-\d\d+)/{IN_LOGS}|(?:logs|tensorboard)/{TEMPORARY}"
)
"""What a try of a run said, below its folder."""
RUN = re.compile(
    rf"{RECORDS.pattern}|recipe\.yaml|(?:run|beat|stop)\.json|lock/\d{{4,}}|{TEMPORARY}"
    rf"|checkpoints/(?:step-\d{{8}}|frozen)\.a\d\d+/(?:{IN_COMMIT})"
    rf"|{re.escape(LENT)}[^/]+/(?:{IN_EXPORT}|{TEMPORARY})"
)
"""All of a run's folder but its export."""
EXPORT = re.compile(IN_EXPORT)
PREPARED = re.compile(
    rf"manifest\.json|report\.html|(?:train|validation|test)-\d{{5,}}\.arrow|{TEMPORARY}"
)
WORK = re.compile(rf"(?:[^/]+/)*(?:[^/]+\.(?:arrow|npy|json)|report\.html)|{TEMPORARY}")
RECORDINGS = re.compile(r"[a-z]+-\d{12}-\d{12}\.(?:arrow|json)|\.(?:recording|seal)-[^/]+")
FOLDERS = re.compile(
    r"(?:(?:checkpoints|logs|tensorboard|lock|export|tmp|done|scattered|groups|clean|set|labels)"
    r"(?:/[^/]+)?)"
)
"""Folders that go where they are empty."""

Owner = Callable[[str], bool]


def find_strangers(address: str, ours: "re.Pattern[str] | Owner") -> list[str]:
    """List the files below a folder, by their paths in it, that are not ours; links are a person's.

    Raises StorageError where it cannot be listed.
    """
    return [name for name, is_ours in _sorted_out(address, ours) if not is_ours]


def find_ours(address: str, ours: "re.Pattern[str] | Owner") -> list[str]:
    """List the files below a folder, by their paths in it, that are ours."""
    return [name for name, is_ours in _sorted_out(address, ours) if is_ours]


def delete_ours(address: str, ours: "re.Pattern[str] | Owner") -> list[str]:
    """Delete our files below a folder, and the folder with what is empty in it.

    Returns the paths of what is a person's and stays. Raises StorageError.
    """
    found = _sorted_out(address, ours)
    kept = [name for name, is_ours in found if not is_ours]
    local = storage.local_path(address)
    if local is None and not kept:
        storage.delete(address)
        return []
    for name, is_ours in found:
        if is_ours:
            storage.delete(storage.join(address, name))
    if local is not None:
        gone = [name for name, is_ours in found if is_ours]
        emptied = {parent for name in gone for parent in _folders_of(name)}
        owns = _owner(ours)
        _drop_empty(local, lambda name: name in emptied or owns(name))
    return kept


def _sorted_out(address: str, ours: "re.Pattern[str] | Owner") -> list[tuple[str, bool]]:
    owns = _owner(ours)
    local = storage.local_path(address)
    if local is not None and local.is_symlink():
        return [(".", False)]
    links = {name for name in _names(local) if (local / name).is_symlink()} if local else set()
    names = sorted({*(storage.list_below(address) if local is None else _names(local))})
    return [(name, name not in links and owns(name)) for name in names]


def _owner(ours: "re.Pattern[str] | Owner") -> Owner:
    return ours if callable(ours) else lambda name: ours.fullmatch(name) is not None


def _names(folder: Path) -> list[str]:
    """Give the paths of all files and links below a folder."""
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [Path(place, name).relative_to(folder).as_posix() for name in [*files, *links]]
    return found


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _drop_empty(local: Path, owns: Owner) -> None:
    """Remove empty folders, the deepest first: those that we emptied, and those of our names."""
    for place, _, _ in os.walk(local, topdown=False):
        name = Path(place).relative_to(local).as_posix()
        if name == "." or owns(name) or FOLDERS.fullmatch(name):
            with suppress(OSError):  # it is not empty
                os.rmdir(place)
