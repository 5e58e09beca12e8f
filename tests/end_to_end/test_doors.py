"""What of the cluster on this machine can be reached from elsewhere, and what it answers there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

import grpc
import psutil
import pytest

from cluster.local import LocalCluster
from tests.end_to_end.hosts import ip, why_not
from tests.person import Person

pytestmark = [pytest.mark.slow, pytest.mark.proof]

CALLS = (
    "NodeInfoGcsService/GetAllNodeInfo",
    "InternalKVGcsService/InternalKVGet",
    "NodeManagerService/GetNodeStats",
    "ObjectManagerService/Pull",
    "ReporterService/GetTraceback",
    "LogService/ListLogs",
    "CoreWorkerService/GetCoreWorkerStats",
)
KNOCK = """
import json, socket, sys
host, ports = sys.argv[1], json.loads(sys.argv[2])
answers = {}
for port in ports:
    try:
        with socket.create_connection((host, port), 5) as door:
            door.settimeout(2)
            door.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
            answers[port] = "open" if door.recv(64)[:5] != b"HTTP/" else "answers"
    except TimeoutError:
        answers[port] = "open"
    except OSError:
        answers[port] = "closed"
print(json.dumps(answers))
"""


class Door(NamedTuple):
    """A socket that waits for others."""

    process: str
    host: str
    port: int

    @property
    def is_open(self) -> bool:
        """Whether other machines reach it."""
        found = ip_address(self.host)
        inner = getattr(found, "ipv4_mapped", None) or found
        return not inner.is_loopback


def doors(cluster: LocalCluster) -> list[Door]:
    """Return all sockets that wait in the processes of a cluster."""
    found = []
    for node in cluster.processes:
        parent = psutil.Process(node.pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                name = " ".join(process.cmdline())
                for one in process.net_connections(kind="tcp"):
                    if one.status == psutil.CONN_LISTEN:
                        found.append(Door(_kind(name), one.laddr.ip, one.laddr.port))
    return found


def _kind(words: str) -> str:
    if "gcs_server" in words.split(" ")[0]:
        return "gcs"
    if words.split(" ")[0].endswith("/raylet"):
        return "raylet"
    if words.startswith("ray::DashboardAgent"):
        return "agent"
    return "worker" if words.startswith("ray::") or "cluster.driver" in words else words


@pytest.fixture(scope="module")
def open_doors(person: Person, two_nodes: LocalCluster) -> list[Door]:
    """Return what waits while a run trains."""
    process = person.start("submit", person.recipe("watched", epochs=200))
    try:
        person.wait(process, lambda: person.steps("watched") >= 3)
        return doors(two_nodes)
    finally:
        person.thaw("stop", "watched")
        process.communicate(timeout=60)


def test_what_waits_for_others_is_what_the_readme_says(open_doors: list[Door]) -> None:
    beyond = [door for door in open_doors if door.is_open]
    # README, Security: "Ray binds the gRPC of its GCS, raylets, agents and workers to all
    # interfaces". The dashboard, the agents' HTTP, the client server and the workers' meeting
    # point are not among them.
    assert {door.process for door in beyond} <= {"gcs", "raylet", "agent", "worker"}
    counted = [door.process for door in beyond]
    assert (counted.count("gcs"), counted.count("raylet")) == (1, 4)
    assert counted.count("agent") <= 3  # the head's is a driver, too, once it has taken a job


def test_nothing_open_answers_without_the_token(
    person: Person, two_nodes: LocalCluster, open_doors: list[Door]
) -> None:
    found = [door for door in doors(two_nodes) if door.is_open and door.process != "worker"]
    assert len(found) >= 7  # the GCS, and two of each raylet and one of each agent on two nodes
    for door in found:
        codes = {_call(door.port, name) for name in CALLS}
        assert "UNAUTHENTICATED" in codes, (door, codes)
        assert codes <= {"UNAUTHENTICATED", "UNIMPLEMENTED"}, (door, codes)


def _call(port: int, name: str) -> str:
    """Call a service of Ray without a token; returns the code of the refusal."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(f"/ray.rpc.{name}")(b"", timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "ANSWERED"


@pytest.fixture
def neighbour() -> Iterator[tuple[list[str], str]]:
    """Give the words that run a command on another host, and our address as it sees it."""
    if reason := why_not():
        pytest.skip(f"NOT TRIED, the doors from another host: {reason}")
    name, ours = f"thaw{os.getpid()}", "198.18.73.1"
    ip("netns", "add", name)
    try:
        ip("link", "add", f"{name[:12]}a", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{ours}/30", "dev", f"{name[:12]}a")
        ip("link", "set", f"{name[:12]}a", "up")
        ip("-n", name, "addr", "add", "198.18.73.2/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        yield ["ip", "netns", "exec", name], ours
    finally:
        ip("netns", "del", name)


def test_another_host_gets_no_word(
    two_nodes: LocalCluster, open_doors: list[Door], neighbour: tuple[list[str], str]
) -> None:
    before, ours = neighbour
    found = doors(two_nodes)
    ports = sorted({door.port for door in found})
    asked = subprocess.run(
        [*before, sys.executable, "-I", "-S", "-c", KNOCK, ours, json.dumps(ports)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers = {int(port): answer for port, answer in json.loads(asked.stdout).items()}
    dashboard = int(two_nodes.address.rpartition(":")[2])
    assert answers[dashboard] == "closed"
    assert "answers" not in answers.values()
    reached = {port for port, answer in answers.items() if answer != "closed"}
    assert reached == {door.port for door in found if door.is_open}
