"""Give this process its share of the machine's cores; who decides the share is the cluster's."""

import torch


def use_threads(count: int) -> None:
    """Let torch compute with this many threads; it takes one per core of the machine otherwise."""
    torch.set_num_threads(count)
