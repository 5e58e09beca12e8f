"""Say what a rank took of its machine, in one line of its log; who reads the line is diagnosis.py.

A rank that is killed says nothing any more.
"""

import os
import re
import resource
import time

import psutil
from pydantic import BaseModel, ConfigDict

MIB = 2**20
LINE = re.compile(
    r"took (\d+) MiB at its peak(?:, (\d+) MiB on its GPU)?, its node has (\d+) of (\d+) MiB free, "
    r"computed ([\d.]+) s of ([\d.]+) s"
)


class Usage(BaseModel):
    """What a rank took, measured at its end or failure."""

    model_config = ConfigDict(frozen=True)
    peak_mib: int
    """Host memory that the process had at its peak."""
    gpu_peak_mib: int | None
    """The same on its GPU; None without one."""
    node_free_mib: int
    node_total_mib: int
    cpu_s: float
    """CPU time of all its threads since the attempt began."""
    wall_s: float
    """Time since the attempt began."""


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), _cpu_s()

    def read(self, gpu_peak_bytes: int | None = None) -> Usage:
        """Measure what this process took so far."""
        memory = psutil.virtual_memory()
        return Usage(
            # In KiB on Linux.
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            gpu_peak_mib=None if gpu_peak_bytes is None else gpu_peak_bytes // MIB,
            node_free_mib=memory.available // MIB,
            node_total_mib=memory.total // MIB,
            cpu_s=_cpu_s() - self._cpu,
            wall_s=time.monotonic() - self._wall,
        )


def usage_line(usage: Usage) -> str:
    """Say it in one line, which `find_usage` finds again."""
    gpu = "" if usage.gpu_peak_mib is None else f", {usage.gpu_peak_mib} MiB on its GPU"
    return (
        f"took {usage.peak_mib} MiB at its peak{gpu}, its node has {usage.node_free_mib} of "
        f"{usage.node_total_mib} MiB free, computed {usage.cpu_s:.1f} s of {usage.wall_s:.1f} s"
    )


def find_usage(log: str) -> Usage | None:
    """Find the last such line of a log; None where there is none."""
    found = [*LINE.finditer(log)]
    if not found:
        return None
    peak, gpu, free, total, cpu, wall = found[-1].groups()
    return Usage(
        peak_mib=int(peak),
        gpu_peak_mib=None if gpu is None else int(gpu),
        node_free_mib=int(free),
        node_total_mib=int(total),
        cpu_s=float(cpu),
        wall_s=float(wall),
    )


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
