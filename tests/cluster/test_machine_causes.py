"""Faults of processes, nodes and networks are recognised by real texts, each as itself."""

import pytest

from cluster.causes import recognise
from cluster.evidence import Evidence
from tests.past_runs import CLOSED, KILLED

NCCL = (
    "DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:"
    "2588, {kind}, NCCL version 2.21.5\n{name}\nLast error:\n"
)
INTERNAL = NCCL.format(
    kind="internal error - please report this issue to the NCCL developers",
    name="ncclInternalError: Internal check failed.",
)
SYSTEM = NCCL.format(
    kind="unhandled system error (run with NCCL_DEBUG=INFO for details)",
    name="ncclSystemError: System call (e.g. socket, malloc) or external library call failed or "
    "device error.",
)
CUDA_MEMORY = (
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity "
    "of 79.11 GiB of which 1.10 GiB is free."
)
CPU_MEMORY = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
    "allocate memory: you tried to allocate 4000000000000000 bytes. Error code 12 (Cannot allocate "
    "memory)"
)
MONITOR = (
    "OutOfMemoryError: 1 worker(s) were killed due to the node running low on memory. Memory on "
    "the node (IP: 10.0.0.5, ID: 8c5a14) was 7.61GB used / 7.76GB limit (0.980670)"
)
VERSIONS = (
    "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: "
    "3.11.2\nThis process on node 10.0.0.5 was started with:\n    Ray: 2.59.0\n    Python: 3.11.2"
)
NO_TOKEN = "The cluster at http://h:8265 asks for a token and none was found. Set RAY_AUTH_TOKEN"
AS_RAISED = "worker 1 on 10.0.0.5 "
LOST_EACH = "workers lost the connection to each other: "
LOST = "Job supervisor actor could not be scheduled: died"
SILENT = "no sign of life of the driver for 312 s. "

CASES = [
    ("worker_killed", "ClusterError", AS_RAISED + "died", {"words": CLOSED, "ray": KILLED}),
    ("worker_killed", "ClusterError", "worker 1 died and worker 2 died", {}),
    ("crash", "ClusterError", AS_RAISED + "died", {"words": "Crash: SIGSEGV received at t=1"}),
    ("node_lost", "ClusterError", AS_RAISED + "was lost with its node", {"words": CLOSED}),
    ("node_lost", "ClusterError", AS_RAISED + "was lost with its node", {"words": SYSTEM}),
    ("preempted", "ClusterError", "a node was taken back by its provider", {}),
    (
        "preempted",
        "ClusterError",
        AS_RAISED + "was lost with its node",
        {"nodes": "Terminated because of preemption"},
    ),
    ("controller", "ClusterError", "the process that watches the workers died", {}),
    ("job_supervisor", None, "", {"job": SILENT + "Its job failed: Job supervisor actor died: x"}),
    ("orphan", None, "", {"job": "the driver goes on without its job. Its job failed: " + LOST}),
    ("head_lost", None, "", {"job": SILENT + "No Ray dashboard answers at http://h:8265"}),
    ("head_lost", None, "", {"job": SILENT + "The cluster at http://h:8265 knows no job past.01"}),
    ("driver", None, "", {"job": SILENT + "Its job failed: Job entrypoint command failed"}),
    ("driver", None, "", {"job": SILENT}),
    (
        "client_network",
        None,
        "",
        {"job": "the run goes on. No Ray dashboard answers at http://h:8265"},
    ),
    (
        "hang",
        "HangError",
        "rank 1 made no progress for 600 s in trainers/step.py:101 take_step; in collectives wait "
        "rank 0 in trainers/agreement.py:34 joined. Read /runs/past/logs/a01/rank-*.stacks.txt",
        {},
    ),
    (
        "hang",
        "HangError",
        "rank 3 does not answer: its Python does not run. Read /runs/past/logs",
        {},
    ),
    ("device_memory", "TrainingError", f"A worker ran out of memory ({CUDA_MEMORY}). Use", {}),
    (
        "device_memory",
        "TrainingError",
        f"rank 1 ran out of memory ({CUDA_MEMORY}). By estimate weights take 3.00 GiB of it",
        {"words": CUDA_MEMORY},
    ),
    ("host_memory", "TrainingError", f"A worker ran out of memory ({CPU_MEMORY}). Use", {}),
    (
        "host_memory",
        "ClusterError",
        AS_RAISED + "was ended because its node ran out of memory",
        {"words": CLOSED, "ray": MONITOR},
    ),
    ("host_memory", "TrainingError", "ArrowMemoryError: malloc of size 100000000 failed", {}),
    (
        "drift",
        "TrainingError",
        "rank 2 differs in head.weight and 3 further tensors at step 500, where all ranks must "
        "hold the same bits. Look for a broken card or network there, then resume from the last "
        "commit on other nodes",
        {},
    ),
    ("versions", "ClusterError", "the workers could not be started: x", {"ray": VERSIONS}),
    (
        "versions",
        "TrainingError",
        "ImportError: cannot import name 'x' from 'transformers' (/usr/lib/transformers.py)",
        {},
    ),
    (
        "package",
        "TrainingError",
        "ModuleNotFoundError: No module named 'bitsandbytes'",
        {"words": "ModuleNotFoundError: No module named 'bitsandbytes'"},
    ),
    (
        "package",
        "RecipeError",
        "freezing.lora.bits needs the package bitsandbytes, which this worker does not have. "
        "Install thaw[qlora] on every node",
        {},
    ),
    (
        "compiler",
        "TrainingError",
        "RuntimeError: Ninja is required to load C++ extensions",
        {},
    ),
    (
        "connect",
        "TrainingError",
        "RuntimeError: [enforce fail at device.cc:84] ifa != nullptr. Unable to find address for: "
        "eth7",
        {},
    ),
    (
        "connect",
        "ClusterError",
        LOST_EACH + "The client socket has timed out after 1800000ms while trying to connect to "
        "(10.0.0.4, 40001).",
        {},
    ),
    (
        "connect",
        "ClusterError",
        LOST_EACH + "The server socket has failed to listen on any local network address. port: "
        "42107, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use",
        {},
    ),
    (
        "connect",
        "ClusterError",
        LOST_EACH + "Timed out after 1801 seconds waiting for clients. 1/2 clients joined.",
        {},
    ),
    (
        "connect",
        "TrainingError",
        "DistBackendError: NCCL error",
        {"words": INTERNAL + "Bootstrap : no socket interface found"},
    ),
    (
        "connect",
        "ClusterError",
        LOST_EACH + "NCCL error in: ProcessGroupNCCL.cpp:1333, unhandled system error",
        {"words": SYSTEM + "socketStartConnect: Connect to 10.0.0.5<52822> failed : No route"},
    ),
    (
        "connection_lost",
        "ClusterError",
        LOST_EACH + CLOSED.removeprefix("RuntimeError: "),
        {"words": CLOSED},
    ),
    ("cluster_auth", "ClusterError", NO_TOKEN, {}),
    (
        "no_room",
        "ClusterError",
        "cluster.num_workers (12), each with 1 CPUs, cannot be placed: 2 nodes have 10.0.0.4 4 "
        "CPUs; 10.0.0.5 4 CPUs. Use at most 8 workers, or add machines to the cluster",
        {},
    ),
    (
        "no_room",
        "HangError",
        "cluster.num_workers (4): after 600 s only 2 can be placed, because others use the "
        "cluster. Resume when they have ended, or with --workers and a smaller number",
        {},
    ),
    ("no_start", "ClusterError", "the workers did not start in time", {}),
    (
        "device",
        "TrainingError",
        "AcceleratorError: CUDA error: an illegal memory access was encountered",
        {},
    ),
]


@pytest.mark.parametrize(
    ("name", "error", "message", "parts"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_cause_is_recognised_as_itself_and_nothing_else(
    name: str, error: str | None, message: str, parts: dict[str, str]
) -> None:
    found = recognise(Evidence(error=error, message=message, **parts))
    assert [cause.name for cause in found] == [name]
