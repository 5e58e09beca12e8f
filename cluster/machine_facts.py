"""Look at the machine this process runs on; health.py says what of it is good or bad."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

PACKAGES = ("ray", "torch", "deepspeed", "transformers", "pyarrow", "thaw")
SHARED_MEMORY = "/dev/shm"
COMPILERS = ("c++", "g++", "clang++", "nvcc", "ninja", "cc1plus")
SESSION = re.compile(r"session_\d{4}-\d\d-\d\d_[\d_-]+")
LOCK_AGE_S = 60.0
"""Seconds after which the lock of a compile with no compiler at work was left behind."""
SMI_LIMIT_S = 20
FROZEN = ConfigDict(frozen=True)


class Disk(BaseModel):
    """A place that files are written to."""

    model_config = FROZEN
    path: str
    free_bytes: int
    total_bytes: int


class OtherCluster(BaseModel):
    """A Ray cluster on this machine."""

    model_config = FROZEN
    session: str
    agent_ports: tuple[int, ...] = ()
    dashboard_host: str | None = None
    dashboard_port: int | None = None


class MachineFacts(BaseModel):
    """What a machine has, as one of its processes sees it."""

    model_config = FROZEN
    host: str
    """Address of the node, or `here` for the machine of the person."""
    machine: str
    """Name of the machine; several nodes may be on one."""
    time: float
    """Seconds since the epoch when it was asked."""
    versions: dict[str, str]
    """Installed packages that must agree, and Python."""
    memory_bytes: int
    free_memory_bytes: int
    shared_memory_bytes: int | None
    disks: tuple[Disk, ...]
    compiler: str | None
    locks: tuple[str, ...]
    """Locks of compiles that were killed."""
    clusters: tuple[OtherCluster, ...]
    gpus: int | None
    """GPUs that nvidia-smi lists; None where there is no nvidia-smi."""


def look(host: str = "here", storage: str | None = None) -> MachineFacts:
    """Look at this machine; takes about a tenth of a second."""
    asked = time.time()
    memory = psutil.virtual_memory()
    folders = [tempfile.gettempdir(), *([storage] if storage and "://" not in storage else [])]
    return MachineFacts(
        host=host,
        machine=socket.gethostname(),
        time=asked,
        versions=dict(_versions()),
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
        shared_memory_bytes=_total(SHARED_MEMORY),
        disks=tuple(_disk(folder) for folder in folders),
        compiler=shutil.which("c++") or shutil.which("g++"),
        locks=tuple(map(str, find_stale_locks(_extensions()))),
        clusters=tuple(find_clusters()),
        gpus=count_gpus(),
    )


def find_stale_locks(folder: Path) -> list[Path]:
    """Find locks below torch's folder of compiled extensions that no compile holds any more."""
    locks = [*folder.glob("*/lock"), *folder.glob("*/*/lock")]
    if not locks or any(process.info["name"] in COMPILERS for process in _processes()):
        return []
    return sorted(lock for lock in locks if time.time() - lock.stat().st_mtime > LOCK_AGE_S)


def find_clusters() -> list[OtherCluster]:
    """Find the Ray clusters with processes on this machine, by the command lines of these."""
    found: dict[str, OtherCluster] = {}
    for process in _processes():
        words = process.info["cmdline"] or []
        if not any("/ray/" in word for word in words[:4]):
            continue
        line = " ".join(words)
        named = SESSION.search(line)
        if named is None:
            continue
        known = found.get(named[0], OtherCluster(session=named[0]))
        found[named[0]] = known.model_copy(update=_told(line, known))
    return sorted(found.values(), key=lambda cluster: cluster.session)


def _told(line: str, known: OtherCluster) -> dict[str, object]:
    """Read ports and addresses out of the command line of a dashboard or an agent."""
    if "dashboard/dashboard.py" in line:
        return {
            "dashboard_host": _after("host", line),
            "dashboard_port": int(_after("port", line) or 0) or None,
        }
    port = int(_after("listen-port", line) or 0)
    return {"agent_ports": tuple(sorted({*known.agent_ports, port}))} if port else {}


def _after(option: str, line: str) -> str | None:
    found = re.search(rf"--{option}[= ]([^\s\"']+)", line)
    return found[1] if found else None


def count_gpus() -> int | None:
    """Count the GPUs that nvidia-smi lists; None where there is none, or it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=SMI_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", ".".join(map(str, sys.version_info[:2]))
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _disk(folder: str) -> Disk:
    """Measure the disk of a folder, or of the first one above it that is there."""
    path = Path(folder)
    while not path.exists() and path != path.parent:
        path = path.parent
    usage = shutil.disk_usage(path)
    return Disk(path=folder, free_bytes=usage.free, total_bytes=usage.total)


def _total(folder: str) -> int | None:
    return shutil.disk_usage(folder).total if os.path.isdir(folder) else None


def _extensions() -> Path:
    default = Path.home() / ".cache" / "torch_extensions"
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or default)


def _processes() -> list[psutil.Process]:
    return list(psutil.process_iter(["name", "cmdline"]))
