"""Keep what the driver saw as an attempt ended: Ray's words of each rank, nodes that were lost.

Whether to try again is judged in failures.py; who reads this back is diagnosis.py.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import NotFoundError, StorageError
from trainers import storage as files

if TYPE_CHECKING:
    from cluster.failures import Failure

NAME = "failure.json"
MOST_LETTERS = 2000


class LostNode(BaseModel):
    """A node that the attempt was on and that is dead."""

    model_config = ConfigDict(frozen=True)
    host: str
    reason: str
    """Ray's words; empty where it has none."""


class Aftermath(BaseModel):
    """How an attempt ended, as the driver saw it; the content of failure.json."""

    model_config = ConfigDict(frozen=True)
    time: float
    """Seconds since the epoch."""
    error: str
    """Class of the error."""
    message: str
    final: bool
    words: dict[int, str]
    """What Ray says of a rank, by rank."""
    nodes: tuple[LostNode, ...]


def keep_aftermath(
    logs: str, failure: "Failure", error: BaseException | None, nodes: Iterable[Mapping[str, Any]]
) -> None:
    """Write down how an attempt ended; `nodes` are those of the cluster as Ray lists them.

    What cannot be written is left out: the failure itself is what matters.
    """
    kept = Aftermath(
        time=time.time(),
        error=failure.error,
        message=failure.message,
        final=failure.final,
        words=_words(error),
        nodes=lost_nodes(nodes, _own_nodes(logs)),
    )
    try:
        files.write_atomically(files.join(logs, NAME), kept.model_dump_json(indent=1).encode())
    except StorageError as problem:
        logging.getLogger(__name__).warning("%s", problem)


def read_aftermath(logs: str) -> Aftermath | None:
    """Read how an attempt ended; None where its driver has not written it."""
    try:
        return Aftermath.model_validate_json(files.read_bytes(files.join(logs, NAME)))
    except (NotFoundError, StorageError, ValidationError):
        return None


def lost_nodes(nodes: Iterable[Mapping[str, Any]], own: set[str]) -> tuple[LostNode, ...]:
    """Name the dead ones among the nodes with the given ids."""
    return tuple(
        LostNode(host=node["NodeManagerAddress"], reason=node.get("DeathReasonMessage") or "")
        for node in nodes
        if not node["Alive"] and node["NodeID"] in own
    )


def _own_nodes(logs: str) -> set[str]:
    """Give the ids of the nodes of an attempt's ranks, as these have announced them."""
    found = set()
    for name in files.list_names(logs):
        if name.startswith("rank-") and name.endswith(".json") and name.count(".") == 1:
            found.add(json.loads(files.read_bytes(files.join(logs, name))).get("node", ""))
    return found


def _words(error: BaseException | None) -> dict[int, str]:
    """Give what Ray says of each rank that failed."""
    from ray.train.v2.api.exceptions import WorkerGroupError

    if not isinstance(error, WorkerGroupError):
        return {}
    return {rank: _last_words(cause) for rank, cause in error.worker_failures.items()}


def _last_words(error: BaseException) -> str:
    from cluster.failures import unwrapped

    last = unwrapped(error)
    return f"{type(last).__name__}: {last}"[:MOST_LETTERS]
