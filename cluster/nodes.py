"""Start and end the processes of one Ray node on this machine; local.py makes a cluster of them."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from configs.errors import ClusterError
from trainers.private_folders import private_folder

HOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
# Each node has an address of its own in the loopback network, so that two nodes here are as
# different as two machines: their workers have different ranks on the node and different hosts.
NODE_HOST = "127.0.0.{}"
HEAD_HOST = NODE_HOST.format(2)
END_LIMIT_S = 5.0
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Ray keeps 10001 to 19999 for its client and its workers.
FIRST_PORT, LAST_PORT, LEAST_PORTS = 20_000, 65_535, 1000
OBJECT_STORE_BYTES = 256 * 2**20
AGENT_PORT = "--dashboard-agent-listen-port"
NODE_PORTS = (
    "--node-manager-port",
    "--object-manager-port",
    AGENT_PORT,
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


def free_ports(count: int) -> list[int]:
    """Find that many different free ports; nothing holds them afterwards.

    None is among those that the kernel gives to outgoing connections, of which a cluster makes
    hundreds while it starts. Raises ClusterError when there are not so many.
    """
    first, stop = _offered_ports(OUTGOING.read_text() if OUTGOING.exists() else "")
    found: list[int] = []
    for port in random.SystemRandom().sample(range(first, stop), stop - first):
        with socket.socket() as sock, suppress(OSError):
            sock.bind((EVERYWHERE, port))
            found.append(port)
        if len(found) == count:
            return found
    raise ClusterError(
        f"A local cluster needs {count} free ports, and of {first} to {stop - 1} there are "
        f"{len(found)}. End what holds the others"
    )


def _offered_ports(outgoing: str) -> tuple[int, int]:
    """Give the larger range beside that of outgoing connections: its first port, and its end."""
    every = (FIRST_PORT, LAST_PORT + 1)
    if not outgoing:
        return every
    first, last = map(int, outgoing.split())
    below, above = (FIRST_PORT, first), (last + 1, LAST_PORT + 1)
    larger = max(below, above, key=lambda each: each[1] - each[0])
    return larger if larger[1] - larger[0] >= LEAST_PORTS else every


@dataclass(frozen=True)
class Ground:
    """What all nodes of one cluster share."""

    temp_dir: Path
    """A folder of mode 0700: Ray opens its own, and all below it, to everybody (ray 2.60)."""
    log_dir: Path
    """What `ray start` said about the nodes of the newest cluster; it outlives the cluster."""
    token_path: Path
    gcs_port: int
    dashboard_port: int
    client_port: int
    cpus_per_node: int
    dashboard_host: str = HOST

    @property
    def ray_dir(self) -> Path:
        """Folder of Ray's session; unix sockets lie below it, whose paths have 107 characters."""
        return self.temp_dir / "r"


def node_log(ground: Ground, index: int) -> Path:
    """Give the file with what `ray start` said about a node."""
    return ground.log_dir / f"node-{index}.log"


def start_node(ground: Ground, index: int, ports: Sequence[int]) -> NodeProcess:
    """Start one node, the head for index 0; `ports` are one for each of NODE_PORTS."""
    options = _head_options(ground) if index == 0 else _member_options(ground)
    options += ["--block", "--num-cpus", str(ground.cpus_per_node)]
    options += ["--node-ip-address", NODE_HOST.format(2 + index)]
    options += ["--temp-dir", str(ground.ray_dir), "--include-log-monitor", "false"]
    options += ["--object-store-memory", str(OBJECT_STORE_BYTES)]
    options += ["--min-worker-port", "0", "--max-worker-port", "0"]
    for name, port in zip(NODE_PORTS, ports, strict=True):
        options += [name, str(port)]
    private_folder(ground.log_dir)
    with node_log(ground, index).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
            env=_environment(ground.token_path),
            cwd=ground.temp_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The node outlives this process; subprocess would warn about that.
    process.returncode = 0
    return NodeProcess(
        pid=process.pid,
        started=psutil.Process(process.pid).create_time(),
        agent_port=ports[NODE_PORTS.index(AGENT_PORT)],
    )


def _head_options(ground: Ground) -> list[str]:
    options = ["--head", "--port", str(ground.gcs_port), "--no-monitor", "--disable-usage-stats"]
    options += [
        "--dashboard-host",
        ground.dashboard_host,
        "--dashboard-port",
        str(ground.dashboard_port),
    ]
    return [*options, "--ray-client-server-port", str(ground.client_port)]


def _member_options(ground: Ground) -> list[str]:
    return ["--address", f"{HEAD_HOST}:{ground.gcs_port}"]


def _environment(token_path: Path) -> dict[str, str]:
    own = Path(sys.executable).parent
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray serves metrics on all interfaces to everybody, token or not (ray 2.60). No port of the
        # dashboard's own can be had at -1, which it takes as having none.
        "RAY_enable_metrics_collection": "0",
        "DASHBOARD_METRIC_PORT": "-1",
        # Ray's workers are at 15 by default, where anything else on the machine goes first.
        "RAY_worker_niceness": "0",
    }


def is_alive(node: NodeProcess) -> bool:
    """Say whether a node's process runs; a pid that was given out again is another process."""
    try:
        found = psutil.Process(node.pid)
        same = abs(found.create_time() - node.started) < 1.0
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_nodes(nodes: Sequence[NodeProcess], temp_dir: Path | None = None) -> None:
    """End nodes and all that they started, first politely; the head last.

    With the folder of their cluster, all else of that cluster too.
    """
    family: list[psutil.Process] = []
    for node in reversed(nodes):
        if is_alive(node):
            process = psutil.Process(node.pid)
            family += [*process.children(recursive=True), process]
            process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=END_LIMIT_S)
    # What lost its parent before is known by the folder, whose name no other cluster has.
    if temp_dir is not None:
        left += [process for process in psutil.process_iter() if _names(process, str(temp_dir))]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=END_LIMIT_S)
    for node in nodes:
        _reap(node.pid)


def _names(process: psutil.Process, folder: str) -> bool:
    """Say whether a process is one of Ray's that works in a folder."""
    try:
        words = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    is_rays = any("/ray/" in word for word in words[:4])
    return is_rays and any(f"{folder}/" in word or word.endswith(folder) for word in words)


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


def last_line(log: Path) -> str:
    """Give what a node said last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"
