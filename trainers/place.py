"""Where one rank stands: its number, its folders, its device; how it got there is the cluster's."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """One rank of one attempt."""

    rank: int
    world_size: int
    local_rank: int
    run_dir: str
    """Address of the run directory, seen by every rank."""
    data_dir: str
    """Address of the prepared set, seen by every rank."""
    attempt: int
    """Number of this try of the run, from 1."""
    device: str
    """`cpu`, or a torch device such as `cuda:0`."""
    claim: str = ""
    """What the file says by which the attempt took its number; empty where none is known."""
    allow_change: bool = False
    """Whether to go on from a commit of another recipe or other data."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions of what computes the run."""
