"""Look at a whole cluster from a job on it: facts of every node, and whether they share a storage.

What is found goes to the job's log, a line each; health.py judges it.
"""

import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pydantic import BaseModel, ConfigDict

from cluster.machine_facts import MachineFacts, look
from configs.errors import THAW_ERRORS
from trainers import storage as files

if TYPE_CHECKING:
    from cluster.driver import JobOrder

MARK = "examined "
FOLDER = ".doctor"


class Examined(BaseModel):
    """What a job on the cluster found."""

    model_config = ConfigDict(frozen=True)
    session: str
    """Ray's name for the life of this cluster."""
    nodes: tuple[MachineFacts, ...]
    offsets: dict[str, float]
    """Seconds by which the clock of each node is ahead of the driver's."""
    storage_problems: tuple[str, ...]
    secret_problems: str = ""
    """What is wrong with the secrets that the recipe names; empty when all are there."""


def examine(order: "JobOrder", log: TextIO) -> None:
    """Look at all nodes and write what was found to the job's log."""
    from cluster import machines
    from cluster.secrets import refuse_missing, take_secrets
    from cluster.survey import ask_nodes

    machines.join_cluster()
    nodes = machines.list_nodes()
    storage = order.recipe.storage
    folder = files.join(storage, FOLDER, uuid.uuid4().hex)
    was_there = files.exists(storage)
    facts = ask_nodes(nodes, look, "here", storage)
    wrote = ask_nodes(nodes, write_mark, folder)
    before = time.time()
    clocks = ask_nodes(nodes, tell_time)
    middle = (before + time.time()) / 2
    seen = ask_nodes(nodes, list_marks, folder)
    forget_marks(storage, folder, keep=was_there)
    lacking = ""
    try:
        names = order.recipe.cluster.secrets
        refuse_missing(ask_nodes(nodes, take_secrets, names) if names else {})
    except THAW_ERRORS as error:
        lacking = str(error)
    found = Examined(
        session=machines.session_folder().rsplit("/", 1)[-1],
        nodes=tuple(each.model_copy(update={"host": host}) for host, each in facts.items()),
        offsets={host: clock - middle for host, clock in clocks.items()},
        storage_problems=tuple(judge_marks(storage, wrote, seen)),
        secret_problems=lacking,
    )
    log.write(f"{MARK}{found.model_dump_json()}\n")
    log.flush()


def read_examined(line: str) -> Examined | None:
    """Read what a job found out of a line of its log; None for any other line."""
    if not line.startswith(MARK):
        return None
    return Examined.model_validate_json(line.removeprefix(MARK))


def tell_time() -> float:
    """Give the seconds since the epoch by this machine's clock."""
    return time.time()


def write_mark(folder: str) -> str:
    """Write a file of this process's own; gives its name, or a sentence why it cannot be."""
    name = uuid.uuid4().hex
    try:
        files.write_atomically(files.join(folder, name), b"thaw doctor\n")
    except THAW_ERRORS as error:
        return str(error)
    return name


def list_marks(folder: str) -> list[str]:
    """List the files that are seen in a folder."""
    try:
        return files.list_names(folder)
    except (*THAW_ERRORS, OSError):
        return []


def forget_marks(storage: str, folder: str, *, keep: bool) -> None:
    """Delete the marks, and the folders around them that nobody else uses; `keep` the storage."""
    files.delete(folder)
    if not files.list_names(files.join(storage, FOLDER)):
        files.delete(files.join(storage, FOLDER))
    path = files.local_path(storage)
    if not keep and path is not None and path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def judge_marks(storage: str, wrote: dict[str, str], seen: dict[str, list[str]]) -> Sequence[str]:
    """Say on which nodes a storage cannot be written, and which of them do not see the same."""
    problems = [f"{host} cannot write: {name}" for host, name in wrote.items() if " " in name]
    names = {host: name for host, name in wrote.items() if " " not in name}
    for host, listed in seen.items():
        unseen = [other for other, name in names.items() if name not in listed]
        if unseen:
            problems.append(f"{host} does not see in {storage} what {unseen[0]} wrote there")
    return problems
