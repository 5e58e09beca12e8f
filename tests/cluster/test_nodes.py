"""Processes of a node, without Ray."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster.nodes import (
    OUTGOING,
    Ground,
    NodeProcess,
    _head_options,
    _offered_ports,
    end_nodes,
    free_ports,
    is_alive,
    last_line,
)
from configs.errors import ClusterError

CHILD = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print(1, flush=True)"


def start_family() -> tuple[subprocess.Popen[str], NodeProcess]:
    """Start a process that starts another, and wait until both are there."""
    words = [sys.executable, "-c", f"{CHILD}; time.sleep(60)"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    started = psutil.Process(process.pid).create_time()
    return process, NodeProcess(pid=process.pid, started=started, agent_port=1)


def test_node_is_ended_with_its_children(tmp_path: Path) -> None:
    process, node = start_family()
    [child] = psutil.Process(process.pid).children()
    assert is_alive(node)
    end_nodes([node], tmp_path)
    assert not is_alive(node)
    assert not child.is_running()
    process.communicate()


def test_process_that_took_the_number_is_left_alone(tmp_path: Path) -> None:
    process, node = start_family()
    other = node.model_copy(update={"started": node.started - 100})
    assert not is_alive(other)
    end_nodes([other], tmp_path)
    assert process.poll() is None
    end_nodes([node], tmp_path)
    process.communicate()


def test_free_ports_differ_and_are_none_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    first, last = map(int, OUTGOING.read_text().split())
    assert not [port for port in ports if first <= port <= last]


@pytest.mark.parametrize(
    ("outgoing", "offered"),
    [
        ("32768\t60999\n", (20_000, 32_768)),
        ("20500\t30000\n", (30_001, 65_536)),
        ("1024\t65535\n", (20_000, 65_536)),
        ("", (20_000, 65_536)),
    ],
)
def test_ports_are_offered_beside_outgoing_ones(outgoing: str, offered: tuple[int, int]) -> None:
    assert _offered_ports(outgoing) == offered


def test_a_port_that_is_taken_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.3", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr("cluster.nodes._offered_ports", lambda outgoing: (port, port + 1))
        with pytest.raises(
            ClusterError, match=f"needs 1 free ports, and of {port} to {port} there"
        ):
            free_ports(1)


def test_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nno room left\n\n")
    assert last_line(log) == "no room left"
    log.write_text("")
    assert last_line(log) == "it wrote nothing"


def test_dashboard_listens_where_it_is_asked_to(tmp_path: Path) -> None:
    def listens(**changes: str) -> str:
        options = _head_options(Ground(tmp_path, tmp_path, tmp_path, 1, 2, 3, 4, **changes))
        return options[options.index("--dashboard-host") + 1]

    assert (listens(), listens(dashboard_host="0.0.0.0")) == ("127.0.0.1", "0.0.0.0")
