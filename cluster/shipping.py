"""Choose what of a person's folder goes to the cluster: their code, and nothing that gives away.

What is left out is known by name: what keys, passwords and histories are called, and what the
person's own lists (.gitignore, .thawignore) say.
"""

import fnmatch
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from configs.errors import RecipeError

NEVER = (
    ".git",
    ".hg",
    ".svn",
    ".env*",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_*",
    "credentials*",
    "__pycache__",
)
"""Names of files and folders that stay here, in any case; `!name` in a .thawignore ships one."""
LISTS = (".gitignore", ".rayignore")
OWN_LIST = ".thawignore"
MOST_BYTES = 200 * 2**20
MOST_FILES = 20_000
SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/root", "/run", "/sbin",
          "/sys", "/usr", "/var")  # fmt: skip
HOMES = ("/home", "/Users")


@dataclass
class Shipment:
    """What goes to the cluster of a folder, and what does not."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    """What is shipped: the path below the folder, with slashes, and the file it is read from."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Files, and folders with a slash at the end, that stay here, and what says so."""
    num_bytes: int = 0

    def why_left_out(self, path: str) -> str | None:
        """Return what keeps a file here; None for one that is shipped."""
        parts = path.split("/")
        names = [path, *("/".join(parts[:count]) + "/" for count in range(1, len(parts)))]
        return next((self.left_out[name] for name in names if name in self.left_out), None)


def survey(folder: Path) -> Shipment:
    """Choose what of a folder is shipped, without reading more than its lists.

    Raises RecipeError for a folder that nobody means to ship, and for one that is too large.
    """
    refuse_broad(folder)
    shipment = Shipment(folder)
    try:
        _walk(shipment, folder, "", (), frozenset())
    except OSError as error:
        raise RecipeError(
            f"cluster.working_dir ({folder}) cannot be read: {error.filename}: {error.strerror}. "
            f"Correct it, or name what is not needed in {folder / OWN_LIST}"
        ) from error
    return shipment


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a copy of what is shipped, which is gone afterwards; raises RecipeError as `survey`."""
    shipment = survey(folder)
    with tempfile.TemporaryDirectory(prefix="thaw-code-") as copy:
        for name, source in shipment.files.items():
            target = Path(copy, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        yield Path(copy)


def refuse_broad(folder: Path) -> None:
    """Raise RecipeError for the root, a home or a folder of the system, links followed."""
    real = Path(os.path.realpath(folder))
    home = Path.home().resolve()
    if real == Path("/") or (home.is_relative_to(real) and home != real):
        what = "the root of this machine" if real == Path("/") else "a folder with a home in it"
    elif real == home or str(real.parent) in HOMES:
        what = "a home folder"
    elif str(real) in (*SYSTEM, *HOMES) or real.parts[1] in ("proc", "sys", "dev"):
        what = "a folder of the system"
    else:
        return
    shown = f"{folder}, which is {real}" if real != folder else str(folder)
    raise RecipeError(
        f"cluster.working_dir ({shown}) is {what}, and all of it would be shipped to the cluster. "
        "Put your code into a folder of its own"
    )


@dataclass(frozen=True)
class _List:
    """The lines of a list of ignored names, and the folder in which it stands."""

    name: str
    prefix: str
    spec: GitIgnoreSpec

    def judges(self, path: str) -> bool | None:
        """Whether it leaves a path out; None where it says nothing."""
        return self.spec.check_file(path.removeprefix(self.prefix)).include


def _walk(
    shipment: Shipment, folder: Path, prefix: str, lists: tuple[_List, ...], above: frozenset[Path]
) -> None:
    """Add what a folder below the root holds; `above` are the folders that lead to it."""
    lists = (*lists, *_lists_in(folder, prefix))
    above = above | {Path(os.path.realpath(folder))}
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = f"{prefix}{entry.name}"
        # Not Path.resolve, which raises RuntimeError for a link that leads to itself.
        place = Path(os.path.realpath(entry.path) if entry.is_symlink() else entry.path)
        is_folder = place.is_dir()
        reason = _reason(shipment.folder, path, place, lists, is_link=entry.is_symlink())
        if reason is None and is_folder and Path(os.path.realpath(place)) in above:
            reason = "a link in a circle"
        if reason is not None:
            shipment.left_out[f"{path}/" if is_folder else path] = reason
        elif is_folder:
            _walk(shipment, place, f"{path}/", lists, above)
        else:
            shipment.files[path] = place
            shipment.num_bytes += place.stat().st_size
            _refuse_large(shipment)


def _reason(
    root: Path, path: str, place: Path, lists: tuple[_List, ...], *, is_link: bool
) -> str | None:
    """Say what keeps a file or folder here; None where nothing does."""
    if is_link and not place.exists():
        return "a link to nothing"
    if is_link and not place.is_relative_to(root.resolve()):
        return "a link that leads out of the folder"
    if not place.is_dir() and not stat.S_ISREG(place.stat().st_mode):
        return "no file"
    if path.rpartition("/")[2] in (*LISTS, OWN_LIST):
        return "a list of ignored names"
    asked = f"{path}/" if place.is_dir() else path
    said = [(each, each.judges(asked)) for each in lists]
    own = [verdict for each, verdict in said if each.name == OWN_LIST and verdict is not None]
    if own:
        return OWN_LIST if own[-1] else None
    names = {path.rpartition("/")[2]}
    if is_link:  # a harmless name may lead to what has none
        names |= set(place.relative_to(root.resolve()).parts)
    for name in names:
        if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in NEVER):
            return "its name"
    others = [(each.name, verdict) for each, verdict in said if verdict is not None]
    return others[-1][0] if others and others[-1][1] else None


def _lists_in(folder: Path, prefix: str) -> list[_List]:
    """Read the lists of ignored names of a folder."""
    found = []
    for name in (*LISTS, OWN_LIST):
        if (folder / name).is_file():
            lines = (folder / name).read_text(errors="replace").splitlines()
            found.append(_List(name, prefix, GitIgnoreSpec.from_lines(lines)))
    return found


def _refuse_large(shipment: Shipment) -> None:
    many = len(shipment.files) > MOST_FILES
    if not many and shipment.num_bytes <= MOST_BYTES:
        return
    sizes: dict[str, int] = {}
    for name, source in shipment.files.items():
        top = name.split("/")[0] + ("/" if "/" in name else "")
        sizes[top] = sizes.get(top, 0) + (1 if many else source.stat().st_size)
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    found = f"{MOST_FILES:,} files" if many else f"{MOST_BYTES >> 20} MiB"
    raise RecipeError(
        f"cluster.working_dir ({shipment.folder}) holds more than the {found} that are shipped, "
        f"most in {', '.join(largest)}. Name what is no code in {shipment.folder / OWN_LIST}, or "
        "put your code into a folder of its own"
    )
