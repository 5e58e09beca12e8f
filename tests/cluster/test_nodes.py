"""Processes of a node, without Ray."""

import subprocess
import sys
from pathlib import Path

import psutil

from cluster.nodes import (
    Ground,
    NodeProcess,
    _head_options,
    end_nodes,
    free_ports,
    is_alive,
    last_line,
)

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


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nno room left\n\n")
    assert last_line(log) == "no room left"
    log.write_text("")
    assert last_line(log) == "it wrote nothing"


def test_dashboard_listens_where_it_is_asked_to(tmp_path: Path) -> None:
    def listens(**changes: str) -> str:
        options = _head_options(Ground(tmp_path, tmp_path, 1, 2, 3, 4, **changes))
        return options[options.index("--dashboard-host") + 1]

    assert (listens(), listens(dashboard_host="0.0.0.0")) == ("127.0.0.1", "0.0.0.0")
