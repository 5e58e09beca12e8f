"""Hosts with addresses of their own on this machine, each a network namespace; needs root.

The name of each host resolves to the loopback, as Debian and Ubuntu write it into /etc/hosts.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NETNS = Path("/etc/netns")
LIMIT_S = 90.0
HEAD, CLIENT = "10.88.41.1", "10.88.41.9"
WORKERS = ("10.88.41.2", "10.88.41.3")


def why_not() -> str:
    """Say why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if shutil.which("ip") is None:
        return "making network namespaces needs `ip` (iproute2)"
    tried = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
    return tried.stderr.strip()


@dataclass(frozen=True)
class Hosts:
    """A head without CPUs, two workers' hosts with one CPU each, and a client's host."""

    tag: str
    token: Path

    @property
    def address(self) -> str:
        """The dashboard, as the client's host reaches it."""
        return f"http://{HEAD}:8265"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {"THAW_ADDRESS": self.address, "RAY_AUTH_TOKEN_PATH": str(self.token)}

    def on(self, host: str) -> list[str]:
        """Give the words before a command that runs on a host."""
        return ["ip", "netns", "exec", self.name(host)]

    def name(self, host: str) -> str:
        """Give the namespace of a host."""
        return f"{self.tag}{host.rpartition('.')[2]}"

    def plug(self, host: str, state: str) -> None:
        """Put a host's cable in (`up`) or pull it out (`down`)."""
        ip("-n", f"{self.tag}s", "link", "set", f"p{host.rpartition('.')[2]}", state)


def ip(*words: str) -> None:
    """Call `ip`, which must succeed."""
    subprocess.run(["ip", *words], check=True, timeout=20)


@contextmanager
def started_hosts(folder: Path) -> Iterator[Hosts]:
    """Make the hosts and a Ray cluster on them; ends and removes all of it."""
    hosts = Hosts(f"t{os.getpid() % 100_000}x", folder / "token")
    hosts.token.touch(0o600)
    hosts.token.write_text(secrets.token_hex(32))
    temp = Path(tempfile.mkdtemp(prefix="thns-", dir="/tmp"))
    everyone = (HEAD, *WORKERS, CLIENT)
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        ip("netns", "add", f"{hosts.tag}s")
        ip("-n", f"{hosts.tag}s", "link", "add", "br0", "type", "bridge")
        ip("-n", f"{hosts.tag}s", "link", "set", "br0", "up")
        for host in everyone:
            _connect(hosts, host)
        for count, host in enumerate((HEAD, *WORKERS), 1):
            nodes.append(_start_node(hosts, host, temp, folder))
            _wait_for_sockets(temp, count, nodes)
        yield hosts
    finally:
        _end(nodes)
        for host in everyone:
            subprocess.run(["ip", "netns", "del", hosts.name(host)], stderr=subprocess.DEVNULL)
            shutil.rmtree(NETNS / hosts.name(host), ignore_errors=True)
        subprocess.run(["ip", "netns", "del", f"{hosts.tag}s"], stderr=subprocess.DEVNULL)
        shutil.rmtree(temp, ignore_errors=True)


def _connect(hosts: Hosts, host: str) -> None:
    name, port = hosts.name(host), f"p{host.rpartition('.')[2]}"
    (NETNS / name).mkdir(parents=True)
    own = f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n"
    (NETNS / name / "hosts").write_text(own)
    ip("netns", "add", name)
    ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port)
    ip("-n", name, "link", "set", port, "netns", f"{hosts.tag}s")
    ip("-n", f"{hosts.tag}s", "link", "set", port, "master", "br0", "up")
    ip("-n", name, "addr", "add", f"{host}/24", "dev", "eth0")
    ip("-n", name, "link", "set", "eth0", "up")
    ip("-n", name, "link", "set", "lo", "up")


def _start_node(hosts: Hosts, host: str, temp: Path, folder: Path) -> subprocess.Popen[bytes]:
    head = ["--head", "--port", "6379", "--dashboard-host", HEAD, "--dashboard-port", "8265"]
    head += ["--disable-usage-stats", "--no-monitor", "--num-cpus", "0"]
    role = head if host == HEAD else ["--address", f"{HEAD}:6379", "--num-cpus", "1"]
    start: Sequence[str] = [sys.executable, "-m", "ray.scripts.scripts", "start", *role]
    shared = ["--node-ip-address", host, "--object-store-memory", "150000000", "--block"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"PATH": path, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(hosts.token)}
    with (folder / f"{host}.log").open("wb") as log:
        return subprocess.Popen(
            [*hosts.on(host), *start, *shared, "--temp-dir", str(temp)],
            env=kept | own | {"RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for_sockets(temp: Path, count: int, nodes: list[subprocess.Popen[bytes]]) -> None:
    limit = time.monotonic() + LIMIT_S
    while len([*(temp / "session_latest" / "sockets").glob("raylet*")]) < count:
        assert time.monotonic() < limit, "the nodes did not come up"
        assert all(node.poll() is None for node in nodes), "a node ended while starting"
        time.sleep(0.1)


def _end(nodes: list[subprocess.Popen[bytes]]) -> None:
    """End the nodes, politely first, with all that they have started."""
    family = [child for node in nodes for child in _children(node.pid)]
    for node in reversed(nodes):
        node.terminate()
    for node in nodes:
        with suppress(subprocess.TimeoutExpired):
            node.wait(10)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    for node in nodes:
        node.kill()
        node.wait(10)
    psutil.wait_procs(family, timeout=10)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return [*psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
