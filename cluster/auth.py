"""Find the cluster's address and its token; talking to it is the business of jobs.py."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cluster.proxies import is_on_loopback
from configs.errors import ClusterError, RecipeError, StorageError, reason_of
from trainers.private_folders import private_folder, write_private

ADDRESS = re.compile(r"https?://[^\s@?#\\\x00-\x20]+", re.IGNORECASE)


class PlainTokenWarning(UserWarning):
    """A token is sent to another machine without encryption."""


def thaw_home() -> Path:
    """Give the folder of this person's own state: $THAW_HOME, or ~/.thaw.

    Raises StorageError for a person without a home, as in a container that runs under any number.
    """
    if named := os.environ.get("THAW_HOME"):
        return Path(named).absolute()
    try:
        return (Path.home() / ".thaw").absolute()
    except RuntimeError as error:
        raise StorageError("You have no home folder here. Set THAW_HOME to a folder") from error


def own_folder(home: Path | None = None) -> Path:
    """Make the folder of this person's own state where there is none, closed to others.

    Raises StorageError where that cannot be.
    """
    home = home or thaw_home()
    with _writable(home):
        return home if home.is_dir() else private_folder(home)


def write_own(name: str, data: bytes) -> Path:
    """Write a file into the folder of this person's own state, for nobody else to read.

    Raises StorageError where that cannot be.
    """
    folder = own_folder()
    with _writable(folder):
        return write_private(folder / name, data)


def own_runs() -> Path:
    """Make the folder in which this person's runs are noted.

    Raises StorageError where nothing can be written into it.
    """
    folder = own_folder() / "runs"
    with _writable(folder.parent):
        private_folder(folder)
        write_private(folder / ".tried", b"").unlink()
    return folder


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder}, where Thaw keeps what is yours alone, cannot be written: "
            f"{reason_of(error)}. Set THAW_HOME to a folder that can"
        ) from error


def resolve_address(option: str | None, recipe: str | None) -> str:
    """Choose the dashboard address: the option, the recipe, the environment, the local cluster.

    Raises ClusterError when none of them names one, RecipeError for what is no address.
    """
    for value in (option, recipe, *_environment_addresses()):
        if value:
            return checked_address(value)
    from cluster.local import read_local_cluster

    local = read_local_cluster(thaw_home())
    if local is not None:
        return local.address
    raise ClusterError(
        "No cluster is named and none runs on this machine. Start one with `thaw cluster up`, "
        "or give --address http://host:8265"
    )


def named_by_owner(address: str) -> bool:
    """Whether this person's environment names an address, or it is the cluster they started."""
    from cluster.local import read_local_cluster

    local = read_local_cluster(thaw_home())
    named = [checked_address(value) for value in _environment_addresses() if value]
    return address in named or (local is not None and local.address == address)


def _environment_addresses() -> tuple[str | None, ...]:
    return (
        os.environ.get("THAW_ADDRESS"),
        os.environ.get("RAY_API_SERVER_ADDRESS"),
        _http_only(os.environ.get("RAY_ADDRESS")),
    )


def checked_address(value: str) -> str:
    """Complete `host:port` to a URL; raises RecipeError for what is no dashboard address."""
    address = value.strip()
    if "://" not in address and ":" in address:
        address = f"http://{address}"
    address = address.rstrip("/")
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    # What stands before an @ is a password, or a host that is not the one which is called.
    if not is_one or not ADDRESS.fullmatch(address):
        raise RecipeError(
            f"{value[:80]!r} is not the address of a Ray dashboard. Give http://host:8265"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


def goes_in_the_clear(address: str) -> bool:
    """Whether what is sent to an address leaves this machine without encryption."""
    return urlsplit(address).scheme != "https" and not is_on_loopback(address)


@dataclass(frozen=True)
class Token:
    """What a cluster asks for before it does anything."""

    value: str
    origin: str
    """Where it was found, in words."""
    path: Path | None
    """The file it was read from."""


def find_token(address: str) -> Token | None:
    """Find the token for an address: the local cluster's own, else where Ray looks for one.

    Raises ClusterError when a file that is named cannot be read.
    """
    from cluster.local import read_local_cluster

    local = read_local_cluster(thaw_home())
    if local is not None and local.address == address:
        return _read_token_file(Path(local.token_path))
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return Token(token, "RAY_AUTH_TOKEN", None)
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return _read_token_file(Path(path).expanduser())
    default = Path.home() / ".ray" / "auth_token"
    return _read_token_file(default) if default.exists() else None


def write_token(path: Path, value: str) -> Path:
    """Write a token to a new file that nobody else can read at any moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(value)
    return path


def _read_token_file(path: Path) -> Token:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ClusterError(
            f"The token file {path} could not be read: {reason}. Correct it, or RAY_AUTH_TOKEN_PATH"
        ) from error
    if not value or not value.isascii() or not value.isprintable():
        found = "holds no token" if value else "is empty"
        raise ClusterError(f"The token file {path} {found}. Put the cluster's token into it")
    return Token(value, f"the file {path}", path)


def _http_only(value: str | None) -> str | None:
    """Keep RAY_ADDRESS only where it is a dashboard URL, not `auto` or a GCS address."""
    return value if value and value.startswith(("http://", "https://")) else None
