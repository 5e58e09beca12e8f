"""Write a recipe of ours again only where nobody changed it; which recipes, demonstrations say."""

import hashlib
from pathlib import Path

from configs.errors import LockedError

SEAL = "# as thaw demo wrote it: "


def write_recipe(path: Path, text: str) -> Path:
    """Write a recipe with a seal, over an older one of ours; returns its path.

    Raises LockedError for one that somebody changed, or that is not ours.
    """
    if path.exists() and not is_sealed(path.read_bytes()):
        raise LockedError(
            f"{path} was changed since it was written. Start it with `thaw submit {path}`, or "
            "rename it to have a new one written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}{SEAL}{_digest(text.encode())}\n", encoding="utf-8")
    return path


def is_sealed(data: bytes) -> bool:
    """Return whether a recipe is as it was written."""
    text, seal, told = data.rpartition(SEAL.encode())
    return bool(seal) and told.strip() == _digest(text).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
