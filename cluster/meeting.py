"""Tell the workers of Ray Train where rank 0 can be met; they form their group themselves.

Ray's own TorchConfig imports torch in the driver, in the controller and in the workers one after
the other (ray 2.60), which takes longer than all else before the first step. This one imports
nothing: torch is imported by the workers alone, all at once.
"""

import socket
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

ADDRESS = "MASTER_ADDR"
PORT = "MASTER_PORT"


@dataclass
class MeetingConfig(BackendConfig):
    """The backend that sets up a meeting point and nothing else."""

    @property
    def backend_cls(self) -> type[Backend]:
        """Give the class that Ray Train's controller calls."""
        return Meeting


class Meeting(Backend):
    """Set the meeting point in the environment of every worker."""

    # Workers on one node see each other's GPUs, which nccl needs to send directly between them.
    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Find a free port beside rank 0 and tell all ranks."""
        address, port = worker_group.execute_single(0, find_meeting_point)
        worker_group.execute(set_meeting_point, address, port)


def find_meeting_point() -> tuple[str, int]:
    """Give this node's address and a port that is free there."""
    host = ray.util.get_node_ip_address()
    with socket.socket() as sock:
        sock.bind(("", 0))
        return host, int(sock.getsockname()[1])


def set_meeting_point(address: str, port: int) -> None:
    """Put the meeting point where torch looks for it."""
    import os

    os.environ[ADDRESS] = address
    os.environ[PORT] = str(port)
