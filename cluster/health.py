"""Judge what was seen of machines and of a cluster: what is good, what is bad and what to do.

What is seen comes from machine_facts.py and examination.py; how it looks is launcher/doctor.py's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cluster.auth import Token
from cluster.connection import MINIMUM_RAY, is_old
from cluster.machine_facts import Disk, MachineFacts

GIB = 2**30
FREE_DISK_BYTES = (GIB, 10 * GIB)
FREE_MEMORY_BYTES = (GIB // 2, 2 * GIB)
"""Below the first it is bad, below the second a person should know."""
SHARED_MEMORY_BYTES = GIB
CLOCK_LIMIT_S = 5.0

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    said: str
    do: str = ""


def judge_ray(found: str, where: str) -> Finding:
    """Judge a version of Ray."""
    if not is_old(found):
        return Finding("ok", "ray", f"{found} {where}")
    holes = f"{found} {where}: others can run code through it (CVE-2025-62593, CVE-2026-27482)"
    return Finding("bad", "ray", holes, f"use Ray {'.'.join(map(str, MINIMUM_RAY))} or newer")


def judge_token_files(token: Token | None, files: Sequence[Path]) -> Iterator[Finding]:
    """Judge where the token comes from, and files that hold tokens or secrets."""
    if token is not None:
        yield Finding("ok", "token", f"from {token.origin}")
    for path in files:
        if path.exists() and (mode := path.stat().st_mode & 0o777) & 0o077:
            said = f"others can read {path} (mode {mode:04o}), and with it run code as you"
            yield Finding("bad", "token", said, f"chmod 600 {path}")


def judge_door(address: str, asks_for_token: bool, hosts: Sequence[str]) -> Finding:
    """Judge who can reach the dashboard; `hosts` are the addresses at which it listens."""
    own = urlsplit(address).hostname or ""
    reached = [host for host in (own, *hosts) if not is_loopback(host)]
    if not reached and asks_for_token:
        return Finding("ok", "dashboard", "reached from its own machine alone, asks for a token")
    if not reached:
        return Finding(
            "warn",
            "dashboard",
            "asks for no token: everybody on its machine can run code as you",
            "start Ray with RAY_AUTH_MODE=token",
        )
    if not asks_for_token:
        return Finding(
            "bad",
            "dashboard",
            f"open to the network at {reached[0]} without a token: everybody can run code on it",
            "start Ray with RAY_AUTH_MODE=token, or with --dashboard-host 127.0.0.1",
        )
    if address.startswith("https://"):
        return Finding("ok", "dashboard", f"reached at {reached[0]} with TLS, asks for a token")
    return Finding(
        "warn",
        "dashboard",
        f"open to the network at {reached[0]}; the token travels without encryption",
        "reach it through ssh -L or a proxy with TLS",
    )


def is_loopback(host: str) -> bool:
    """Say whether an address is of the machine itself; a name other than localhost is not."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def judge_versions(here: MachineFacts, nodes: Sequence[MachineFacts]) -> Iterator[Finding]:
    """Judge whether all machines have the same packages."""
    differing = False
    for name in sorted({name for facts in (here, *nodes) for name in facts.versions}):
        found: dict[str, list[str]] = {}
        for facts in nodes:
            found.setdefault(facts.versions.get(name, "none"), []).append(facts.host)
        if len(found) > 1:
            differing = True
            said = ", ".join(f"{what} on {listed(on)}" for what, on in sorted(found.items()))
            yield Finding("bad", "versions", f"{name} differs: {said}", "install one everywhere")
        mine, theirs = here.versions.get(name), next(iter(found), "none")
        if len(found) == 1 and mine is not None and mine != theirs and name != "thaw":
            differing = True
            said = f"{name} is {mine} here and {theirs} on the nodes"
            yield Finding("warn", "versions", said, "install the nodes' version here")
    if not differing:
        shown = (f"{name} {what}" for name, what in here.versions.items() if name != "thaw")
        yield Finding("ok", "versions", f"the same everywhere: {', '.join(shown)}")


def judge_clocks(offsets: dict[str, float]) -> Finding:
    """Judge how far clocks are from this machine's; seconds by machine."""
    wrong = [f"{host} by {off:+.0f} s" for host, off in offsets.items() if abs(off) > CLOCK_LIMIT_S]
    if wrong:
        said = f"clocks differ from this machine's: {', '.join(wrong)}"
        return Finding("warn", "clocks", said, "run an NTP client there")
    return Finding("ok", "clocks", f"within {CLOCK_LIMIT_S:.0f} s of this machine's")


def judge_machine(facts: MachineFacts) -> Iterator[Finding]:
    """Judge disk, memory and shared memory of one machine."""
    where = f"on {facts.host}" if facts.host != "here" else "here"
    for disk in facts.disks:
        free = f"{_gib(disk.free_bytes)} of {_gib(disk.total_bytes)} GiB free in {disk.path}"
        level = _level(disk.free_bytes, FREE_DISK_BYTES)
        yield Finding(level, "disk", f"{free} {where}", "" if level == "ok" else _room(disk))
    level = _level(facts.free_memory_bytes, FREE_MEMORY_BYTES)
    said = f"{_gib(facts.free_memory_bytes)} of {_gib(facts.memory_bytes)} GiB free {where}"
    yield Finding(level, "memory", said, "" if level == "ok" else "end what else runs there")
    shared = facts.shared_memory_bytes
    if shared is None:
        yield Finding("warn", "/dev/shm", f"not there {where}", "mount a tmpfs of 8 GiB there")
    elif shared < SHARED_MEMORY_BYTES:
        said = f"{_gib(shared)} GiB {where}: Ray, gloo and NCCL share memory there"
        yield Finding("warn", "/dev/shm", said, "start its container with --shm-size=8g")
    else:
        yield Finding("ok", "/dev/shm", f"{_gib(shared)} GiB {where}")


def judge_compiler(facts: MachineFacts, *, is_asked: bool) -> Iterator[Finding]:
    """Judge whether DeepSpeed's operators can be compiled; a recipe with offload asks for them."""
    for lock in facts.locks:
        said = f"a compile was killed on {facts.host} and left its lock: others wait for it"
        yield Finding("bad", "compiler", f"{said} ({lock})", f"rm {lock}")
    if facts.compiler is not None:
        yield Finding("ok", "compiler", f"{facts.compiler} on {facts.host}")
    elif is_asked:
        said = f"none on {facts.host}, and zero.offload_* compiles an operator"
        yield Finding("bad", "compiler", said, "install g++ there, or leave offload out")
    else:
        yield Finding("warn", "compiler", f"none on {facts.host}", "install g++ for offload")


def judge_ports(facts: MachineFacts, session: str) -> Iterator[Finding]:
    """Judge whether other clusters on a machine are in the way of the one with this session."""
    own = {port for one in facts.clusters if one.session == session for port in one.agent_ports}
    others = [one for one in facts.clusters if one.session != session]
    for one in others:
        if shared := sorted(own & set(one.agent_ports)):
            said = f"another Ray cluster on {facts.host} has port {shared[0]} too: jobs hang"
            do = "end it, or start one with its own --dashboard-agent-listen-port"
            yield Finding("bad", "ports", said, do)
    if others and not any(own & set(one.agent_ports) for one in others):
        count = "another Ray cluster runs" if len(others) == 1 else f"{len(others)} others run"
        yield Finding("ok", "ports", f"{count} on {facts.host}, with other ports")


def judge_gpus(host: str, in_ray: float, facts: MachineFacts) -> Finding | None:
    """Judge whether Ray offers the GPUs that nvidia-smi lists on a machine."""
    if facts.gpus is None and not in_ray:
        return None
    if facts.gpus == in_ray:
        return Finding("ok", "GPUs", f"{in_ray:g} on {host}, in Ray as in nvidia-smi")
    listed_there = "no nvidia-smi" if facts.gpus is None else f"nvidia-smi lists {facts.gpus}"
    level: Level = "bad" if in_ray > (facts.gpus or 0) else "warn"
    said = f"Ray offers {in_ray:g} on {host}, {listed_there}"
    return Finding(level, "GPUs", said, "start Ray there again with --num-gpus")


def machines_of(facts: Sequence[MachineFacts]) -> list[MachineFacts]:
    """Give the facts of one node for each machine."""
    return list({each.machine: each for each in reversed(facts)}.values())[::-1]


def worst(findings: Sequence[Finding]) -> Level:
    """Give the level of the worst finding."""
    levels = {finding.level for finding in findings}
    return "bad" if "bad" in levels else "warn" if "warn" in levels else "ok"


def listed(hosts: Sequence[str]) -> str:
    """Join the names of machines."""
    return f"{', '.join(hosts[:-1])} and {hosts[-1]}" if len(hosts) > 1 else "".join(hosts)


def _level(free_bytes: int, limits: tuple[int, int]) -> Level:
    return "bad" if free_bytes < limits[0] else "warn" if free_bytes < limits[1] else "ok"


def _room(disk: Disk) -> str:
    return f"make room in {disk.path}"


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:,.1f}"
