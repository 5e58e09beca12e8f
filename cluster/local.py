"""Start and end a Ray cluster of several nodes on this machine; remote clusters start elsewhere.

Every node has its own ports, and token authentication is on. The dashboard and all that speaks HTTP
listen on the loopback interface; Ray binds the gRPC of its processes to all interfaces (ray 2.60),
where nothing is answered without the token. Only processes that were started here are ever ended.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from cluster.auth import own_folder, thaw_home, write_token
from cluster.nodes import (
    EVERYWHERE,
    HEAD_HOST,
    HOST,
    NODE_PORTS,
    Ground,
    NodeProcess,
    end_nodes,
    free_ports,
    is_alive,
    last_line,
    node_log,
    start_node,
)
from cluster.proxies import go_past_proxies
from configs.errors import ClusterError, LockedError
from trainers.private_folders import write_private

START_LIMIT_S = 90.0
MARK = ".thaw-cluster"
"""File by which a folder is known as one that was made for a cluster."""
TOKEN = "cluster_token"
NODE_LOGS = "nodes"
"""Folder below THAW_HOME with what the nodes of the local cluster said while they started."""


class LocalCluster(BaseModel):
    """A cluster that runs on this machine."""

    model_config = ConfigDict(frozen=True)

    address: str
    gcs_address: str
    processes: tuple[NodeProcess, ...]
    temp_dir: str
    token_path: str
    num_nodes: int
    cpus_per_node: int

    @property
    def pids(self) -> tuple[int, ...]:
        """Process of each node, the head's first."""
        return tuple(process.pid for process in self.processes)


def start_local_cluster(
    num_nodes: int = 2,
    cpus_per_node: int | None = None,
    *,
    host: str = HOST,
    home: Path | None = None,
) -> LocalCluster:
    """Start a cluster and wait until every node takes jobs.

    Its nodes have the environment of this process. `host` is the address of this machine at which
    the dashboard listens: any but the loopback lets other machines submit, with the token. Raises
    LockedError when one runs already, ClusterError when it does not come up.
    """
    home = home or thaw_home()
    if read_local_cluster(home) is not None:
        raise LockedError("A local cluster runs already. End it with `thaw cluster down`")
    stop_local_cluster(home)
    own_folder(home)
    gcs, dashboard, client, *ports = free_ports(3 + len(NODE_PORTS) * num_nodes)
    ground = Ground(
        temp_dir=_make_temp_dir(),
        log_dir=home / NODE_LOGS,
        token_path=write_token(home / TOKEN, secrets.token_hex(32)),
        gcs_port=gcs,
        dashboard_port=dashboard,
        client_port=client,
        dashboard_host=host,
        cpus_per_node=cpus_per_node or max(1, (os.cpu_count() or 1) // num_nodes),
    )
    cluster = _start_nodes(ground, num_nodes, ports)
    write_private(home / "cluster.json", cluster.model_dump_json(indent=1).encode())
    return cluster


def _start_nodes(ground: Ground, num_nodes: int, ports: Sequence[int]) -> LocalCluster:
    """Start the nodes one after another; when one does not come up, all of them are ended."""
    processes: list[NodeProcess] = []
    try:
        for index in range(num_nodes):
            own = ports[index * len(NODE_PORTS) : (index + 1) * len(NODE_PORTS)]
            processes.append(start_node(ground, index, own))
            # Two nodes that start at once would give their sockets the same name.
            _wait_until(partial(_has_sockets, ground, index + 1), processes, ground)
        cluster = _describe(ground, processes)
        _wait_until(lambda: _takes_jobs(cluster), processes, ground)
    except BaseException:
        end_nodes(processes, ground.temp_dir)
        _delete_temp_dir(ground.temp_dir)
        raise
    return cluster


def add_node(cluster: LocalCluster, home: Path | None = None) -> LocalCluster:
    """Start one more node and wait until it can be reached; raises ClusterError when it cannot."""
    home = home or thaw_home()
    index = cluster.num_nodes
    ground = Ground(
        temp_dir=Path(cluster.temp_dir),
        log_dir=home / NODE_LOGS,
        token_path=Path(cluster.token_path),
        gcs_port=_port(cluster.gcs_address),
        dashboard_port=_port(cluster.address),
        client_port=0,
        cpus_per_node=cluster.cpus_per_node,
    )
    process = start_node(ground, index, free_ports(len(NODE_PORTS)))
    alone = cluster.model_copy(update={"processes": (process,)})
    try:
        _wait_until(lambda: _takes_jobs(alone), [process], ground, first=index)
    except BaseException:
        end_nodes([process])
        raise
    changes = {"processes": (*cluster.processes, process), "num_nodes": index + 1}
    larger = cluster.model_copy(update=changes)
    write_private(home / "cluster.json", larger.model_dump_json(indent=1).encode())
    return larger


def stop_local_cluster(home: Path | None = None) -> bool:
    """End the local cluster with everything it started; False when there was none.

    Raises ClusterError, with all ended, for folders or files in cluster.json that are not ours.
    """
    home = home or thaw_home()
    cluster = _read_state(home)
    if cluster is None:
        return False
    was_alive = any(is_alive(process) for process in cluster.processes)
    end_nodes(cluster.processes, Path(cluster.temp_dir))
    (home / "cluster.json").unlink(missing_ok=True)
    token = Path(cluster.token_path)
    strange = [str(token)] if token != home / TOKEN and token.exists() else []
    (home / TOKEN).unlink(missing_ok=True)
    if not _delete_temp_dir(Path(cluster.temp_dir)):
        strange.append(cluster.temp_dir)
    if strange:
        raise ClusterError(
            f"The cluster has ended. {' and '.join(strange)} stood in {home / 'cluster.json'} and "
            "was not made by `thaw cluster up`, so it stays. Delete it where it is yours"
        )
    return was_alive


def _make_temp_dir() -> Path:
    """Make a folder for what a cluster writes, and mark it as ours."""
    folder = Path(tempfile.mkdtemp(prefix="thaw-", dir="/tmp"))
    (folder / MARK).touch()
    return folder


def _delete_temp_dir(folder: Path) -> bool:
    """Delete the folder of a cluster; False for one without our mark, which stays."""
    if not os.path.lexists(folder):
        return True
    if folder.is_symlink() or not (folder / MARK).is_file():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def read_local_cluster(home: Path | None = None) -> LocalCluster | None:
    """Give the local cluster if its head is alive."""
    cluster = _read_state(home or thaw_home())
    return cluster if cluster is not None and is_alive(cluster.processes[0]) else None


def count_live_nodes(cluster: LocalCluster) -> int:
    """Count the nodes whose processes are alive."""
    return sum(is_alive(process) for process in cluster.processes)


def _read_state(home: Path) -> LocalCluster | None:
    try:
        return LocalCluster.model_validate_json((home / "cluster.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _describe(ground: Ground, processes: list[NodeProcess]) -> LocalCluster:
    return LocalCluster(
        address=f"http://{_reached_at(ground.dashboard_host)}:{ground.dashboard_port}",
        gcs_address=f"{HEAD_HOST}:{ground.gcs_port}",
        processes=tuple(processes),
        temp_dir=str(ground.temp_dir),
        token_path=str(ground.token_path),
        num_nodes=len(processes),
        cpus_per_node=ground.cpus_per_node,
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _reached_at(host: str) -> str:
    """Give an address at which this machine reaches what listens at `host`."""
    return HOST if host == EVERYWHERE else host


def _wait_until(
    ready: Callable[[], bool],
    processes: list[NodeProcess],
    ground: Ground,
    *,
    first: int = 0,
    limit_s: float = START_LIMIT_S,
) -> None:
    """Ask with back-off until something is ready.

    Raises ClusterError when a node died or time ran out.
    """

    def asked() -> bool:
        for index, process in enumerate(processes, first):
            if not is_alive(process):
                log = node_log(ground, index)
                raise ClusterError(
                    f"Node {index} of the local cluster ended while starting: {last_line(log)} "
                    f"(all it said: {log})"
                )
        return ready()

    attempts = Retrying(
        stop=stop_after_delay(limit_s),
        wait=wait_exponential(multiplier=0.05, max=0.5),
        retry=retry_if_result(lambda result: not result),
    )
    try:
        attempts(asked)
    except RetryError as error:
        raise ClusterError(
            f"The local cluster was not ready after {limit_s:.0f} s. See whether the machine is "
            f"overloaded and what {ground.log_dir} says, then start it again with fewer --nodes"
        ) from error


def _has_sockets(ground: Ground, num_nodes: int) -> bool:
    """Say whether so many nodes have made their sockets, which a node does last."""
    folder = ground.ray_dir / "session_latest" / "sockets"
    return len([*folder.glob("raylet*")]) >= num_nodes


def _takes_jobs(cluster: LocalCluster) -> bool:
    """Say whether the dashboard and the job agent of every node answer."""
    import requests

    go_past_proxies(cluster.address)
    token = Path(cluster.token_path).read_text()
    urls = [f"{cluster.address}/api/version"]
    urls += [
        f"http://{HOST}:{node.agent_port}/api/local_raylet_healthz" for node in cluster.processes
    ]
    try:
        answers = [
            requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=2)
            for url in urls
        ]
    except requests.RequestException:
        return False
    return all(answer.ok for answer in answers)
