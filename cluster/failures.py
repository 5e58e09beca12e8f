"""Tell a fault worth another attempt from one that is not; who tries again is driver.py."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ray.exceptions import OutOfMemoryError, RayActorError, RayError
from ray.train import TrainingFailedError
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError

from cluster.peer_loss import is_peer_loss
from configs.errors import THAW_ERRORS, HangError, TrainingError

# Not `OOM`: Ray names the kernel's OOM killer as one of the causes of every sudden death.
NODE_FULL = re.compile(r"due to memory pressure|node running low on memory", re.IGNORECASE)
NODE_LOST = re.compile(r"node (has )?(died|is dead|was (lost|terminated|preempted))", re.IGNORECASE)
OUT_OF_MEMORY = re.compile(
    r"out of memory|can(no|')t allocate memory|not enough memory|OutOfMemoryError|MemoryError"
    r"|std::bad_alloc",
    re.IGNORECASE,
)
# gloo told the other hosts an address that each of them has itself, or has no such interface.
LOOPBACK_TOLD = re.compile(r"remote=\[(127\.|::1\])")
NO_INTERFACE = re.compile(
    r"Unable to find (address|interface) for: ?(?P<gloo>\S*)|(?P<nccl>no socket interface found)"
)
NODE_SHORT = "was ended because its node ran out of memory"


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended before the run did."""

    final: bool
    """Whether the same would happen again."""
    exit_code: int
    error: str
    """Class of the error."""
    message: str
    out_of_memory: bool = False
    """Whether less memory may help."""

    def as_error(self) -> Exception:
        """Give the error of ours that says the same."""
        kinds = {kind.__name__: kind for kind in THAW_ERRORS}
        return kinds[self.error](self.message)


def classify(error: BaseException, hosts: Sequence[str] = ()) -> Failure:
    """Judge what ended an attempt; `hosts` are the nodes of its ranks, in order, if known."""
    if isinstance(error, WorkerGroupError):
        return _classify_workers(error, hosts)
    if isinstance(error, ControllerError):
        return _classify_controller(error.controller_failure)
    if isinstance(error, PreemptionError):
        return _lost("a node was taken back by its provider")
    if isinstance(error, RayActorError):
        return _lost("the process that watches the workers died")
    for cause in _chain(error):
        if (ours := _own(cause)) is not None:
            return ours
    if isinstance(error, TrainingFailedError | RayError):
        return _lost(f"Ray reports {_first_line(error)}")
    return _final(error)


def _classify_workers(error: WorkerGroupError, hosts: Sequence[str]) -> Failure:
    failures = {rank: list(_chain(cause)) for rank, cause in error.worker_failures.items()}
    ours = [own for causes in failures.values() for cause in causes if (own := _own(cause))]
    deaths = {rank: death for rank, causes in failures.items() if (death := _death(causes))}
    # A rank that waits for a dead one may report a hang: the death is the reason then.
    named = [failure for failure in ours if not deaths or failure.error != HangError.__name__]
    if named:
        return named[0]
    if deaths:
        return _lost(" and ".join(_who_died(rank, deaths[rank], hosts) for rank in sorted(deaths)))
    errors = [causes[-1] for causes in failures.values()]
    unreachable = _unreachable(errors, hosts)
    if unreachable is not None:
        return unreachable
    own_faults = [fault for fault in errors if not is_peer_loss(fault)]
    if own_faults:
        return _final(own_faults[0])
    return _lost(f"workers lost the connection to each other: {_first_line(errors[0])}")


def _unreachable(errors: Sequence[BaseException], hosts: Sequence[str]) -> Failure | None:
    """Judge errors of ranks that will never meet, whoever tries again."""
    texts = [str(error) for error in errors]
    for text in texts:
        if (found := NO_INTERFACE.search(text)) is not None:
            name = found["gloo"] or "NCCL_SOCKET_IFNAME"
            return _no_way(f"no network interface for {name} is on one of {', '.join(hosts)}")
    elsewhere = any(not host.startswith("127.") and host != "::1" for host in hosts)
    if elsewhere and any(LOOPBACK_TOLD.search(text) for text in texts):
        return _no_way(f"one of {', '.join(hosts)} told the others a loopback address")
    return None


def _no_way(what: str) -> Failure:
    return Failure(
        True,
        4,
        "ClusterError",
        f"The workers cannot reach each other: {what}. Name an interface that every node has with "
        "cluster.env: {GLOO_SOCKET_IFNAME: ..., NCCL_SOCKET_IFNAME: ...}; `ip -br addr` lists them",
    )


def _classify_controller(error: BaseException) -> Failure:
    name = type(error).__name__
    if name == "WorkerGroupStartupTimeoutError":
        return _lost("the workers did not start in time")
    if name == "InsufficientClusterResourcesError":
        return Failure(True, 4, "ClusterError", _first_line(error))
    for cause in _chain(error):
        if (ours := _own(cause)) is not None:
            return ours
    return _lost(f"the workers could not be started: {_first_line(error)}")


def _own(error: BaseException) -> Failure | None:
    """Judge an error of ours: it would be the same again."""
    for kind in THAW_ERRORS:
        if isinstance(error, kind):
            message = str(error)
            short = kind is TrainingError and bool(OUT_OF_MEMORY.search(message))
            return Failure(True, kind.exit_code, kind.__name__, message, out_of_memory=short)
    return None


def _final(error: BaseException) -> Failure:
    text = f"{type(error).__name__}: {_first_line(error)}"
    short = bool(OUT_OF_MEMORY.search(text))
    if short:
        text = (
            f"A worker ran out of memory ({text}). Use a smaller batch.microbatch_size with more "
            "batch.lanes, or activation_checkpointing"
        )
    return Failure(True, 1, "TrainingError", text, out_of_memory=short)


def _lost(what: str) -> Failure:
    return Failure(False, 4, "ClusterError", what, out_of_memory=NODE_SHORT in what)


def _death(causes: Sequence[BaseException]) -> BaseException | None:
    """Find what says that the worker's process is gone, or does not answer."""
    for cause in causes:
        if isinstance(cause, RayError) or type(cause).__name__ == "WorkerHealthCheckTimeoutError":
            return cause
    return None


def _who_died(rank: int, cause: BaseException, hosts: Sequence[str]) -> str:
    where = f" on {hosts[rank]}" if rank < len(hosts) else ""
    text = str(cause)
    if isinstance(cause, OutOfMemoryError) or NODE_FULL.search(text):
        return f"worker {rank}{where} {NODE_SHORT}"
    if NODE_LOST.search(text):
        return f"worker {rank}{where} was lost with its node"
    return f"worker {rank}{where} died"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Unwrap what Ray puts around an error, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        held = vars(current)
        current = held.get("_base_exc") or held.get("health_check_failure") or held.get("cause")


def unwrapped(error: BaseException) -> BaseException:
    """Give what Ray has put its own errors around."""
    return [*_chain(error)][-1]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
