"""Say which packages compute a run, and which of them changed since it began."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from configs.errors import RecipeError

COMPUTING = (
    "torch",
    "deepspeed",
    "transformers",
    "tokenizers",
    "peft",
    "numpy",
    "pyarrow",
    "ray",
)
"""Packages whose versions may move a number."""


def installed_packages() -> dict[str, str]:
    """Give the versions that are installed here of what computes a run."""
    found = {}
    for name in COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def changed_packages(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name what differs, such as `torch 2.13.0, now 2.14.0`; nothing for a run that kept none."""
    if not before:
        return []
    names = sorted(before.keys() | now.keys())
    return [
        f"{name} {before.get(name, 'absent')}, now {now.get(name, 'absent')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def refuse_other_packages(run: str, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise RecipeError, naming what differs, where a run was computed with other packages."""
    changed = changed_packages(before, now)
    if changed:
        raise RecipeError(
            f"run {run} was computed with other packages: {'; '.join(changed)}. Install those "
            "again, or accept another answer with --allow-change"
        )
