"""Find and hold still processes of a test's cluster."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from cluster.local import LocalCluster


def find_controller(cluster: LocalCluster) -> psutil.Process:
    """Find the newest process of a Ray Train controller among those of the cluster."""
    found = []
    for child in (child for pid in cluster.pids for child in psutil.Process(pid).children(True)):
        with suppress(psutil.NoSuchProcess):
            if "TrainController" in " ".join(child.cmdline()):
                found.append(child)
    return max(found, key=lambda process: process.create_time())


@contextmanager
def held_still(process: psutil.Process) -> Iterator[None]:
    """Stop a process for a while: it lives, hears nothing and does nothing."""
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()
