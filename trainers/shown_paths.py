"""Name folders of a machine for readers elsewhere; what the folders hold is others' matter."""

import re
from typing import Any

from trainers.masking import masked

HUB_CACHE = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)(/|$)")
ABSOLUTE = re.compile(r"(file://)?(/|~)|sqlite:////")
KEPT_PARTS = 2


def shown_model(path: str) -> str:
    """Return the name of a model: its id, also out of the hub's cache, or its folder's last parts.

    One part alone, such as `model`, would tell nobody which it is.
    """
    path = masked(path)  # before parts of it go
    cached = HUB_CACHE.search(path)
    if cached:
        return f"{cached['owner']}/{cached['name']}"
    return shown_path(path)


def shown_path(path: str) -> str:
    """Return a path without the place where it lies on this machine: the last parts of it."""
    path = masked(path)
    if not ABSOLUTE.match(path):
        return path
    parts = [part for part in path.removeprefix("file://").split("/") if part and part != "~"]
    return "/".join(["...", *parts[-KEPT_PARTS:]])


def without_places(value: Any) -> Any:
    """Return values of a recipe with every absolute path in them shortened."""
    if isinstance(value, dict):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    return shown_path(value) if isinstance(value, str) else value
