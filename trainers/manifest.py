"""What a commit consists of, and which commits there are; whether they are whole others check.

A commit is a folder `step-00000120.a01` with one safetensors file per rank and MANIFEST.json, which
holds the counters and is written last: without it the folder is nothing.
"""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from configs.errors import CheckpointError, NotFoundError
from configs.names import FILE_NAME
from trainers import storage
from trainers.early_stopping import Best
from trainers.mishaps import Mishaps

MANIFEST = "MANIFEST.json"
FOLDER = "checkpoints"
NAME = re.compile(r"step-(\d{8})\.a(\d{2,})")
FROZEN_NAME = re.compile(r"frozen\.a(\d{2,})")
FROZEN_RECORD = ConfigDict(frozen=True, extra="forbid")


class SavedFile(BaseModel):
    """One file of a commit, as it must be found again."""

    model_config = FROZEN_RECORD
    name: str = Field(pattern=FILE_NAME)
    num_bytes: int
    hash: str


class Cursor(BaseModel):
    """Where training stands; with the weights and moments it is all that a resume needs."""

    model_config = FROZEN_RECORD
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Optimizer steps done."""
    step_in_epoch: int = 0
    """Optimizer steps done in the current epoch."""
    rows: int = 0
    """Rows counted in the current epoch, all ranks."""
    id_sum: int = 0
    """Sum of their row ids mod 2^64."""
    best: Best = Best()
    """The evaluations so far."""
    best_checkpoint: str | None = Field(default=None, pattern=FILE_NAME)
    """Commit that holds the best weights."""
    best_metric: str | None = None
    """Metric that the evaluations so far are compared by; None before the first."""
    patience: Best = Best()
    """The evaluations so far by the metric of early stopping."""
    patience_metric: str | None = None
    """That metric; None where training does not end early."""
    stopped_early: bool = False
    """Whether early stopping ended training."""
    phase: int = 0
    """Phases done."""
    phase_starts: tuple[int, ...] = (0,)
    """Optimizer steps done when each phase so far began."""
    phase_best: Best = Best()
    """The evaluations of this phase."""
    value: float | None = None
    """What the newest evaluation gave for the metric by which the best weights are known."""
    value_step: int = 0
    """Optimizer steps done at that evaluation."""
    mishaps: Mishaps = Mishaps()
    """What went wrong so far."""
    equal_lengths: bool | None = None
    """Whether rows are fed with those of their own length alone; None where it is not known."""


class Manifest(BaseModel):
    """What a commit consists of."""

    model_config = FROZEN_RECORD
    version: Literal[1] = 1
    cursor: Cursor
    data_fingerprint: str
    arithmetic: dict[str, Any]
    """The recipe's values that fix order and numbers; a resume must agree with them."""
    parameters: dict[str, int]
    """Saved parameters and their number of elements: what learns, and what learned before."""
    buffers: dict[str, int] = {}
    """Running statistics of batch norms and their number of elements."""
    has_optimizer: bool = True
    """Whether it holds the optimizer state, without which no step can follow."""
    frozen: str | None = Field(pattern=FILE_NAME)
    """Name of the folder with the frozen weights; None when nothing is frozen."""
    files: tuple[SavedFile, ...]
    fence: int = 0
    """Number of the attempt that wrote it, by its claim on the run; the higher one counts."""
    time: float = 0.0
    """When it was written, in seconds since the epoch."""
    recipe: dict[str, Any] | None = None
    """The run's recipe, should recipe.yaml be lost; None in commits of old."""
    packages: dict[str, str] = {}
    """Versions of what computed it, should run.json be lost."""
    data_dir: str | None = None
    """Address of the prepared set, likewise."""

    @property
    def value(self) -> float | None:
        """Give the evaluated metric of its weights; None where they were not evaluated."""
        return self.cursor.value if self.cursor.value_step == self.cursor.step else None

    @property
    def num_bytes(self) -> int:
        """Give the size of its files, without the frozen weights."""
        return sum(file.num_bytes for file in self.files)


def checkpoint_name(step: int, attempt: int) -> str:
    """Name the commit of a step in an attempt."""
    return f"step-{step:08d}.a{attempt:02d}"


def step_of(name: str) -> int:
    """Give the step of a commit from its name."""
    return step_and_attempt(name)[0]


def step_and_attempt(name: str) -> tuple[int, int]:
    """Give the step of a commit and the attempt that wrote it, from its name."""
    found = NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), int(found[2])


def folder_of(run_dir: str, name: str) -> str:
    """Give the address of a commit."""
    return storage.join(run_dir, FOLDER, name)


def list_commits(run_dir: str) -> list[str]:
    """Give the names of the committed checkpoints, newest last.

    Of two of the same step the later attempt's is the newer: it has the higher claim on the run.
    """
    names = [name for name in _names(run_dir) if NAME.fullmatch(name)]
    found = [name for name in names if _is_committed(run_dir, name)]
    return sorted(found, key=step_and_attempt)


def list_leftovers(run_dir: str, attempt: int) -> list[str]:
    """Give folders that attempts before this one began and did not commit."""
    found = []
    for name in _names(run_dir):
        match = re.fullmatch(rf"{NAME.pattern}|{FROZEN_NAME.pattern}", name)
        older = match is not None and int(name.rpartition(".a")[2]) < attempt
        if older and not _is_committed(run_dir, name):
            found.append(name)
    return found


def list_frozen(run_dir: str, attempt: int) -> list[str]:
    """Give the folders of frozen weights that attempts before this one wrote."""
    matches = [FROZEN_NAME.fullmatch(name) for name in _names(run_dir)]
    return [match[0] for match in matches if match is not None and int(match[1]) < attempt]


def read_manifest(run_dir: str, name: str) -> Manifest:
    """Read a commit's manifest; raises CheckpointError when it is damaged."""
    address = storage.join(folder_of(run_dir, name), MANIFEST)
    try:
        return Manifest.model_validate_json(storage.read_bytes(address))
    except (ValueError, NotFoundError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{address} is damaged: {first}") from error


def _names(run_dir: str) -> list[str]:
    return storage.list_names(storage.join(run_dir, FOLDER))


def _is_committed(run_dir: str, name: str) -> bool:
    return storage.exists(storage.join(folder_of(run_dir, name), MANIFEST))
