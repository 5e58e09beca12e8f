"""Find modules of a person's folder that would hide a library: the folder comes first on a node."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

THAW = "thaw"
UNUSED = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
"""Of the standard library, what no library imports: people call files so."""
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def hidden_libraries(folder: Path) -> list[str]:
    """List the files of a folder that would be imported in place of a library that Thaw needs.

    A folder without `__init__.py` hides nothing: a library of its name comes first.
    """
    found = {path.stem: path.name for path in folder.glob("*.py")}
    found |= {path.parent.name: f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    hiding = found.keys() & (sys.stdlib_module_names - UNUSED)
    hiding |= found.keys() & {name.replace("-", "_") for name in _required(distribution(THAW))}
    if any(_is_installed(name, folder) for name in found.keys() - hiding):
        hiding |= found.keys() & set(_needed(THAW, set()))
    return sorted(found[name] for name in hiding)


def _is_installed(name: str, folder: Path) -> bool:
    """Whether a module is found here, and not in the folder itself."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    origin = spec.origin if spec is not None else None
    return origin is not None and not Path(origin).is_relative_to(folder.resolve())


def _needed(name: str, seen: set[str]) -> Iterator[str]:
    """Yield the modules of a distribution and of all that it requires.

    Of one that is not installed here, such as torch on a laptop, its own name.
    """
    if name in seen:
        return
    seen.add(name)
    try:
        found = distribution(name)
    except PackageNotFoundError:
        yield name.replace("-", "_")
        return
    if name != THAW:
        yield from _modules(found)
    for required in _required(found):
        yield from _needed(required, seen)


def _required(found: Distribution) -> Iterator[str]:
    """Yield the names of the distributions that one asks for without an extra."""
    for line in found.requires or ():
        if "extra ==" not in line and (name := REQUIREMENT.match(line)) is not None:
            yield name[0].lower()


def _modules(found: Distribution) -> Iterator[str]:
    """Yield the top-level modules that a distribution installs."""
    if (listed := found.read_text("top_level.txt")) is not None:
        yield from listed.split()
        return
    for path in found.files or ():
        first = path.parts[0]
        if path.parts[1:] == ("__init__.py",):
            yield first
        elif len(path.parts) == 1 and first.endswith((".py", ".so")):
            yield first.split(".")[0]
