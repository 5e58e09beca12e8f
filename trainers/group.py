"""Join this process to its process group and leave it; what is sent through it stands elsewhere."""

import os
import socket
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from trainers.place import Place

LIMIT = timedelta(minutes=30)


def join_group(place: Place, address: str, port: int) -> None:
    """Form the process group: gloo on CPUs, nccl on GPUs. Collective: every rank calls this.

    `address` and `port` are free on the machine of rank 0.
    """
    if place.device.startswith("cuda"):
        torch.cuda.set_device(place.device)
        # Without it a lost rank leaves the others in a collective for good.
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")
    dist.init_process_group(
        "nccl" if place.device.startswith("cuda") else "gloo",
        store=meeting_point(place, address, port),
        rank=place.rank,
        world_size=place.world_size,
        timeout=LIMIT,
    )
    # A rank that has nothing to do must not leave while others still connect to it.
    dist.all_reduce(torch.zeros(1, device=place.device))


def meeting_point(place: Place, address: str, port: int) -> dist.TCPStore:
    """Return the store at which the ranks meet. Collective: every rank calls this.

    torch's own would listen on all interfaces of rank 0's machine, and asks nobody who they are
    (torch 2.13). Where the address is on none of them, behind a translation, it does.
    """
    listener = None
    if place.rank == 0:
        with suppress(OSError):
            family = socket.getaddrinfo(address, port)[0][0]
            listener = socket.create_server((address, port), family=family, backlog=1024).detach()
    return dist.TCPStore(
        address,
        port,
        place.world_size,
        is_master=place.rank == 0,
        timeout=LIMIT,
        multi_tenant=listener is None,
        master_listen_fd=listener,
    )


def leave_group() -> None:
    """Leave the process group; after a failure the others may be gone."""
    if dist.is_initialized():
        dist.destroy_process_group()


def use_threads(count: int) -> None:
    """Let torch compute with this many threads; it takes one per core of the machine otherwise."""
    torch.set_num_threads(count)


def gpu_peak_bytes() -> int:
    """Give the most memory that tensors of this process took on its GPU."""
    return torch.cuda.max_memory_allocated()
