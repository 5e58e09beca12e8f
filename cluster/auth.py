"""Find the cluster's address and its token; talking to it is the business of jobs.py."""

import os
from pathlib import Path

from configs.errors import ClusterError


def thaw_home() -> Path:
    """Give the folder of this person's own state: $THAW_HOME, or ~/.thaw."""
    return Path(os.environ.get("THAW_HOME") or Path.home() / ".thaw").absolute()


def resolve_address(option: str | None, recipe: str | None) -> str:
    """Choose the dashboard address: the option, the recipe, the environment, the local cluster.

    Raises ClusterError when none of them names one.
    """
    for value in (
        option,
        recipe,
        os.environ.get("THAW_ADDRESS"),
        os.environ.get("RAY_API_SERVER_ADDRESS"),
        _http_only(os.environ.get("RAY_ADDRESS")),
    ):
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


def checked_address(value: str) -> str:
    """Complete `host:port` to a URL; raises ClusterError for what is no dashboard address."""
    address = value.strip().rstrip("/")
    if "://" not in address and ":" in address:
        address = f"http://{address}"
    if not address.startswith(("http://", "https://")):
        raise ClusterError(
            f"{value!r} is not the address of a Ray dashboard. Give http://host:8265"
        )
    return address


def read_token(address: str) -> str | None:
    """Find the token for an address: the local cluster's own, else where Ray looks for one."""
    from cluster.local import read_local_cluster

    local = read_local_cluster(thaw_home())
    if local is not None and local.address == address:
        return _read_token_file(Path(local.token_path))
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return _read_token_file(Path(path))
    default = Path.home() / ".ray" / "auth_token"
    return _read_token_file(default) if default.exists() else None


def _read_token_file(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ClusterError(f"The token file {path} could not be read: {error}") from error


def _http_only(value: str | None) -> str | None:
    """Keep RAY_ADDRESS only where it is a dashboard URL, not `auto` or a GCS address."""
    return value if value and value.startswith(("http://", "https://")) else None
