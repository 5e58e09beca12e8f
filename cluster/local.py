"""Start and end a Ray cluster of several nodes on this machine; remote clusters start elsewhere.

Every node has its own ports, all on the loopback interface, and token authentication is on. Only
processes that were started here are ever ended.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from cluster.auth import thaw_home
from configs.errors import ClusterError, LockedError
from trainers.storage import write_atomically

HOST = "127.0.0.1"
# Each node has an address of its own in the loopback network, so that two nodes here are as
# different as two machines: their workers have different ranks on the node and different hosts.
NODE_HOST = "127.0.0.{}"
HEAD_HOST = NODE_HOST.format(2)
START_LIMIT_S = 90.0
END_LIMIT_S = 5.0
OBJECT_STORE_BYTES = 256 * 2**20
NODE_PORTS = (
    "--node-manager-port",
    "--object-manager-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)


class NodeProcess(BaseModel):
    """One `ray start --block`, whose children are the node."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: float
    """Creation time by the kernel; a pid that was given out again differs."""
    agent_port: int


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
    num_nodes: int = 2, cpus_per_node: int | None = None, *, home: Path | None = None
) -> LocalCluster:
    """Start a cluster and wait until every node takes jobs.

    Raises LockedError when one runs already, ClusterError when it does not come up.
    """
    home = home or thaw_home()
    if read_local_cluster(home) is not None:
        raise LockedError("A local cluster runs already. End it with `thaw cluster down`")
    cpus = cpus_per_node or max(1, (os.cpu_count() or 1) // num_nodes)
    home.mkdir(parents=True, exist_ok=True)
    token_path = _write_token(home / "cluster_token")
    # Ray puts unix sockets below this folder, and their paths may have 107 characters.
    temp_dir = Path(tempfile.mkdtemp(prefix="thaw-", dir="/tmp"))
    num_ports = 3 + len(NODE_PORTS) * num_nodes
    gcs, dashboard, client, *node_ports = free_ports(num_ports)
    processes: list[NodeProcess] = []
    try:
        for index in range(num_nodes):
            ports = [node_ports.pop() for _ in NODE_PORTS]
            command = ["--num-cpus", str(cpus), *_node_options(temp_dir, ports, index)]
            if index == 0:
                command += _head_options(gcs, dashboard, client)
            else:
                command += ["--address", f"{HEAD_HOST}:{gcs}"]
            processes.append(_start_node(command, token_path, temp_dir, index, ports[2]))
            if index == 0:
                _wait_until(lambda: _listens(gcs), processes, temp_dir)
        cluster = LocalCluster(
            address=f"http://{HOST}:{dashboard}",
            gcs_address=f"{HEAD_HOST}:{gcs}",
            processes=tuple(processes),
            temp_dir=str(temp_dir),
            token_path=str(token_path),
            num_nodes=num_nodes,
            cpus_per_node=cpus,
        )
        _wait_until(lambda: _takes_jobs(cluster), processes, temp_dir)
    except BaseException:
        _end_processes(processes)
        shutil.rmtree(temp_dir, ignore_errors=True)
        raise
    write_atomically(str(home / "cluster.json"), cluster.model_dump_json(indent=1).encode())
    return cluster


def stop_local_cluster(home: Path | None = None) -> bool:
    """End the local cluster with everything it started; False when there was none."""
    home = home or thaw_home()
    cluster = _read_state(home)
    if cluster is None:
        return False
    was_alive = any(_alive(process) for process in cluster.processes)
    _end_processes(list(cluster.processes))
    (home / "cluster.json").unlink(missing_ok=True)
    Path(cluster.token_path).unlink(missing_ok=True)
    shutil.rmtree(cluster.temp_dir, ignore_errors=True)
    return was_alive


def read_local_cluster(home: Path | None = None) -> LocalCluster | None:
    """Give the local cluster if its head is alive."""
    cluster = _read_state(home or thaw_home())
    return cluster if cluster is not None and _alive(cluster.processes[0]) else None


def count_live_nodes(cluster: LocalCluster) -> int:
    """Count the nodes whose processes are alive."""
    return sum(_alive(process) for process in cluster.processes)


def free_ports(count: int) -> list[int]:
    """Find that many different free ports; nothing holds them afterwards."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def _read_state(home: Path) -> LocalCluster | None:
    try:
        return LocalCluster.model_validate_json((home / "cluster.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _write_token(path: Path) -> Path:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_hex(32))
    return path


def _node_options(temp_dir: Path, ports: list[int], index: int) -> list[str]:
    options = [
        "--block",
        "--node-ip-address",
        NODE_HOST.format(2 + index),
        "--temp-dir",
        str(temp_dir),
    ]
    options += ["--object-store-memory", str(OBJECT_STORE_BYTES), "--include-log-monitor", "false"]
    options += ["--min-worker-port", "0", "--max-worker-port", "0"]
    for name, port in zip(NODE_PORTS, ports, strict=True):
        options += [name, str(port)]
    return options


def _head_options(gcs: int, dashboard: int, client: int) -> list[str]:
    options = ["--head", "--port", str(gcs), "--ray-client-server-port", str(client)]
    options += ["--dashboard-host", HOST, "--dashboard-port", str(dashboard)]
    return [*options, "--no-monitor", "--disable-usage-stats"]


def _start_node(
    options: list[str], token_path: Path, temp_dir: Path, index: int, agent_port: int
) -> NodeProcess:
    own = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {
        "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (temp_dir / f"node-{index}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
            env=environment,
            cwd=temp_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The node outlives this process; subprocess would warn about that.
    process.returncode = 0
    started = psutil.Process(process.pid).create_time()
    return NodeProcess(pid=process.pid, started=started, agent_port=agent_port)


def _wait_until(ready: Callable[[], bool], processes: list[NodeProcess], temp_dir: Path) -> None:
    """Ask with back-off until something is ready.

    Raises ClusterError when a node died or time ran out.
    """

    def asked() -> bool:
        for index, process in enumerate(processes):
            if not _alive(process):
                raise ClusterError(
                    f"Node {index} of the local cluster ended while starting: "
                    f"{_last_line(temp_dir / f'node-{index}.log')}"
                )
        return ready()

    attempts = Retrying(
        stop=stop_after_delay(START_LIMIT_S),
        wait=wait_exponential(multiplier=0.05, max=0.5),
        retry=retry_if_result(lambda result: not result),
    )
    try:
        attempts(asked)
    except RetryError as error:
        raise ClusterError(
            f"The local cluster was not ready after {START_LIMIT_S:.0f} s. "
            "See whether the machine is overloaded, then try again"
        ) from error


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1.0)
        return sock.connect_ex((HEAD_HOST, port)) == 0


def _takes_jobs(cluster: LocalCluster) -> bool:
    """Say whether the dashboard and the job agent of every node answer."""
    import requests

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


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"


def _alive(process: NodeProcess) -> bool:
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started) < 1.0
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end_processes(nodes: list[NodeProcess]) -> None:
    """End nodes and all their descendants, first politely; the head last."""
    family: list[psutil.Process] = []
    for node in reversed(nodes):
        if not _alive(node):
            continue
        process = psutil.Process(node.pid)
        family += [*process.children(recursive=True), process]
        process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=END_LIMIT_S)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=END_LIMIT_S)
    for node in nodes:
        _reap(node.pid)


def _reap(pid: int) -> None:
    """Take the exit status of our own child, so that it is no zombie."""
    limit = time.monotonic() + 1.0
    while time.monotonic() < limit:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.02)
