"""Be one worker of an attempt: from Ray's context to the place, the threads and the log of a rank.

The work itself is in trainers, which does not know that Ray exists.
"""

import json
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from cluster import meeting
from cluster.network import local_interfaces, name_interface
from cluster.orders import Orders, load_function, read_data
from cluster.packages import installed_packages
from cluster.peer_loss import is_peer_loss
from cluster.secrets import masked_output, refuse_missing, take_secrets
from cluster.usage import Meter, usage_line
from configs.errors import HangError, StorageError
from configs.records import Attempt, Ended, Record
from trainers import storage as files
from trainers.imports import import_for, uncollected
from trainers.masking import masked, masked_error
from trainers.persistence import persist
from trainers.place import Place
from trainers.watchdog import watched

LOG = logging.getLogger(__name__)
STOP_POLL_S = 1.0
PRESENCE_LIMIT_S = 60.0
PRESENCE_POLL_S = 0.02
DATA_LIMIT_S = 1800.0
OWN = "trainers."
"""Functions that load a model, as against those of tests."""
# A rank whose peer was killed sees a closed connection at once. It waits until Ray has noticed the
# death itself, so that the attempt ends with the name of the dead rank and not with the noise.
PEER_DEATH_S = 3.0


def work(config: dict[str, Any]) -> None:
    """Carry out the orders of one attempt; Ray Train calls this in a thread of each worker."""
    import ray.train

    orders = Orders.model_validate_json(config["orders"])
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    _set_environment(context)
    meter = Meter()
    secrets = orders.recipe.cluster.secrets
    refuse_missing({socket.gethostname(): take_secrets(secrets)})
    with _in_run(orders, rank), masked_output(secrets):
        try:
            _import_for(orders)
            _announce(orders.logs, rank)
            data_dir = orders.data_dir or _agree_on_data(orders, rank)
            if rank == 0 and orders.is_finetuning:
                _begin_records(orders, world_size)
            ended = _in_group(orders, _place(orders, context, data_dir))
        except Exception as error:
            LOG.exception("rank %d failed", rank)
            _log_usage(orders, meter)
            if is_peer_loss(error):
                time.sleep(PEER_DEATH_S)
            if masked_error(error) is not error:
                raise masked_error(error) from None
            raise
        LOG.info("rank %d ended: %s", rank, ended.message)
        _log_usage(orders, meter)


def _place(orders: Orders, context: Any, data_dir: str) -> Place:
    return Place(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        local_rank=context.get_local_rank(),
        run_dir=orders.run_dir,
        data_dir=data_dir,
        attempt=orders.attempt,
        claim=orders.claim,
        device=_device(orders),
        allow_change=orders.allow_change,
        packages=installed_packages(),
    )


def _import_for(orders: Orders) -> None:
    """Import what takes long, while the data are prepared and before anybody waits for anybody."""
    started = time.monotonic()
    with uncollected():
        from trainers.group import use_threads

        load_function(orders.function)
        if orders.function.startswith(OWN):
            import_for(orders.recipe)
    use_threads(max(1, int(orders.recipe.cluster.cpus_per_worker)))
    LOG.info("imports took %.1f s", time.monotonic() - started)


def _agree_on_data(orders: Orders, rank: int, limit_s: float = DATA_LIMIT_S) -> str:
    """Prepare the data on rank 0, tell the others; no collective, which would have a time limit."""
    if rank == 0:
        from cluster.prepare import prepare_here

        ready = prepare_here(orders.recipe)
        files.append_lines(orders.records, [ready.model_dump_json()])
        files.write_atomically(orders.data, ready.model_dump_json().encode())
        return ready.path
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        found = read_data(orders)
        if found is not None:
            return found.path
        time.sleep(PRESENCE_POLL_S)
    raise HangError(
        f"rank 0 has not prepared the data after {limit_s:.0f} s. See its log in {orders.logs}, or "
        "prepare them first with `thaw data prepare`"
    )


def _begin_records(orders: Orders, world_size: int) -> None:
    """Write the record of the attempt, before rank 0 writes others."""
    attempt = Attempt(
        time=time.time(),
        attempt=orders.attempt,
        num_workers=world_size,
        nodes=_wait_for_all(orders.logs, world_size),
        resumed_from_step=orders.resumed_from_step,
        reason=orders.reason,
    )
    files.append_lines(orders.records, [attempt.model_dump_json()])


def _in_group(orders: Orders, place: Place) -> Ended:
    """Call the function in a process group of all ranks."""
    from trainers.group import join_group, leave_group

    name_interface(_host(), local_interfaces(), os.environ)
    with watched(orders.logs, place, orders.recipe.faults.watchdog_s):
        join_group(place, os.environ[meeting.ADDRESS], int(os.environ[meeting.PORT]))
        ended = _call(orders, place)
        if place.rank == 0:
            outcome = masked(ended.model_dump_json()).encode()
            deadline_s = orders.recipe.checkpoint.deadline_s
            persist(partial(files.write_atomically, orders.outcome, outcome), deadline_s)
        leave_group()
    return ended


def _call(orders: Orders, place: Place) -> Ended:
    function = load_function(orders.function)
    if orders.is_finetuning:
        stop = _StopRequest((files.join(orders.run_dir, "stop.json"), orders.pause))
        return Ended.model_validate(function(orders.recipe, place, _log_record, stop))

    def report(record: Record) -> None:
        _log_record(record)
        files.append_lines(orders.records, [record.model_dump_json()])

    return Ended.model_validate(function(orders.recipe, place, report, **orders.arguments))


def _device(orders: Orders) -> str:
    if not orders.recipe.cluster.gpus_per_worker:
        return "cpu"
    from ray.train.torch import get_device

    return str(get_device())


def _log_usage(orders: Orders, meter: Meter) -> None:
    gpu = None
    if orders.recipe.cluster.gpus_per_worker:
        from trainers.group import gpu_peak_bytes

        gpu = gpu_peak_bytes()
    LOG.info("%s", usage_line(meter.read(gpu)))


def _set_environment(context: Any) -> None:
    """Set what DeepSpeed and torch read from the environment."""
    os.environ["RANK"] = str(context.get_world_rank())
    os.environ["WORLD_SIZE"] = str(context.get_world_size())
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    os.environ["LOCAL_WORLD_SIZE"] = str(context.get_local_world_size())
    os.environ["LOCAL_SIZE"] = str(context.get_local_world_size())
    os.environ["CROSS_RANK"] = str(context.get_node_rank())
    # Ray gives a task as many OpenMP threads as it asked for CPUs when its process started, which
    # was before this process became a worker.
    os.environ.pop("OMP_NUM_THREADS", None)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _announce(logs: str, rank: int) -> None:
    import ray

    content = {
        "host": _host(),
        "machine": socket.gethostname(),
        "node": ray.get_runtime_context().get_node_id(),
        "pid": os.getpid(),
    }
    files.write_atomically(files.join(logs, f"rank-{rank}.json"), json.dumps(content).encode())


def _host() -> str:
    """Return the address under which the other nodes know this one."""
    import ray

    return str(ray.util.get_node_ip_address())


def _wait_for_all(logs: str, world_size: int, limit_s: float = PRESENCE_LIMIT_S) -> tuple[str, ...]:
    """Wait until every rank has said where it is; give the nodes in the order of ranks."""
    limit = time.monotonic() + limit_s
    while len(hosts := read_hosts(logs)) < world_size and time.monotonic() < limit:
        time.sleep(PRESENCE_POLL_S)
    if len(hosts) == world_size:
        return hosts
    raise HangError(
        f"Only {len(hosts)} of {world_size} workers can be seen in {logs} after {limit_s:.0f} s. "
        "Mount the same storage at the same path on every node"
    )


def read_hosts(logs: str) -> tuple[str, ...]:
    """Return the node of each rank that has announced itself, up to the first that has not.

    A file that is cut or garbled announces nobody.
    """
    names = set(files.list_names(logs))
    hosts: list[str] = []
    while (name := f"rank-{len(hosts)}.json") in names:
        host = _host_in(files.read_bytes(files.join(logs, name)))
        if host is None:
            break
        hosts.append(host)
    return tuple(hosts)


def _host_in(announced: bytes) -> str | None:
    """Return where a rank says it is; None for a file that is cut or garbled."""
    try:
        found = json.loads(announced)
    except (ValueError, RecursionError):
        return None
    host = found.get("host") if isinstance(found, dict) else None
    return host if isinstance(host, str) else None


def _log_record(record: Record) -> None:
    LOG.info("%s", record.model_dump_json())


class _StopRequest:
    """Whether a person or the driver asked for an end, looked up at most once a second."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._asked = False
        self._next_look = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._asked and now >= self._next_look:
            self._next_look = now + STOP_POLL_S
            with suppress(StorageError):  # it is there again a moment later
                self._asked = any(files.exists(address) for address in self._addresses)
        return self._asked


@contextmanager
def _in_run(orders: Orders, rank: int) -> Iterator[None]:
    """Be a rank of the run: its folder is never made anew, all output goes to the rank's log."""
    with files.staying(orders.run_dir), _rank_log(orders.logs, rank):
        yield


@contextmanager
def _rank_log(logs: str, rank: int) -> Iterator[None]:
    """Send all output of this process, of C libraries too, to the rank's log file."""
    address = files.join(logs, f"rank-{rank}.log")
    local = files.local_path(address)
    path = local or Path(tempfile.mkdtemp(prefix="thaw-log-")) / f"rank-{rank}.log"
    files.make_parents(path)
    restore = _redirect(path)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        restore()
        if local is None:
            files.upload(path, address)


def _redirect(path: Path) -> Callable[[], None]:
    """Point file descriptors 1 and 2 at a file; gives the function that points them back."""
    kept = (os.dup(1), os.dup(2))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)

    def restore() -> None:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)

    return restore
