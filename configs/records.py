"""What a run says while it goes on, one JSON line each; how it looks is the launcher's.

Trainers and cluster write these lines into metrics.jsonl and the job log; the launcher, notebooks
and tests read them back. `v` is the version of the format.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

RECORD = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class DataReady(BaseModel):
    """The prepared set is there."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["data"] = "data"
    time: float
    """Seconds since the epoch."""
    path: str
    fingerprint: str
    cached: bool
    rows_in: int
    duplicates: int
    dropped: dict[str, int]
    """Rows dropped, by reason, duplicates not included."""
    changed: dict[str, int] = {}
    """Rows changed, by what was changed."""
    splits: dict[str, int]
    """Rows per split."""
    num_labels: int
    conflicts: int = 0
    """Training rows whose input also has another label."""
    contamination: dict[str, int] = {}
    """Rows of the files given for one split that were found in those given for another."""
    notes: tuple[str, ...] = ()
    """What a person should know of the data, a sentence each."""


class Preparing(BaseModel):
    """The data are being prepared."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["preparing"] = "preparing"
    time: float
    doing: str
    """What is done now, such as `tokenising`."""
    share: float
    """Share of all work that is done."""


class Attempt(BaseModel):
    """One try of the run begins."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["attempt"] = "attempt"
    time: float
    attempt: int
    num_workers: int
    nodes: tuple[str, ...]
    """Node of each rank, in the order of ranks."""
    resumed_from_step: int | None
    reason: str
    """Why there is this attempt: `submitted`, `resumed`, or what failed before."""


class Phase(BaseModel):
    """A stretch of training with one set of trainable parameters begins."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["phase"] = "phase"
    time: float
    phase: int
    num_phases: int
    name: str
    trainable_parameters: int
    total_parameters: int
    total_steps: int
    """Optimizer steps of the run."""
    first_step: int = 0
    """Steps done when the phase begins."""
    last_step: int | None = None
    """Steps done when it ends at the latest; None in records of old runs."""


class Proof(BaseModel):
    """After the first step of a phase: what was to learn moved, what is frozen did not."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["proof"] = "proof"
    time: float
    step: int
    phase: int
    num_phases: int
    trainable_parameters: int
    frozen_parameters: int
    new_tensors: int
    """Tensors that began to learn with this phase."""
    moved_tensors: int
    """How many of them differ since."""
    frozen_unchanged: bool
    """Whether every frozen tensor has the bits that it had when the phase began."""


class Recorded(BaseModel):
    """What the frozen blocks give for each row is on the disks of the nodes, computed once."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["recorded"] = "recorded"
    time: float
    step: int
    blocks: int
    """Blocks that need not be computed again."""
    num_blocks: int
    rows: int
    num_bytes: int
    """What it takes on all nodes together."""
    seconds: float
    """Time it took, 0 or a little more where it was there."""
    cached: bool
    """Whether it was there, from an earlier attempt or run."""


class Step(BaseModel):
    """One optimizer step, or the mean since the last step record where that is said."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["step"] = "step"
    time: float
    attempt: int
    step: int
    """Optimizer steps done, this one included."""
    total_steps: int
    epoch: float
    """Epochs done, with the share of the current one."""
    loss: float
    """Loss per target of this step's global batch."""
    learning_rate: float
    grad_norm: float
    rows_per_s: float
    """Mean since the last record, summed over all ranks."""
    tokens_per_s: float | None = None
    """The same for tokens, padding not counted; None where rows have none, as images."""
    data_wait: float
    """Share of time spent waiting for data since the last record, on rank 0."""
    padding: float
    """Share of fed tokens that were padding since the last record."""
    seconds: float
    """Mean seconds per step since the last record."""
    phase: int = 1
    """Number of the phase, from 1."""
    cpu_share: float | None = None
    """Cores that the process of rank 0 had on average since the last record; None in old runs."""


class Evaluated(BaseModel):
    """One split was evaluated, every row once."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["evaluation"] = "evaluation"
    time: float
    step: int
    epoch: float
    split: str
    rows: int
    metrics: dict[str, float | None]
    """Metrics by name: loss, accuracy, macro_f1, ...; None for what is undefined over the rows."""
    per_class: dict[str, dict[str, float]]
    """Label name to precision, recall, f1, support; empty for tasks without classes."""
    best: bool
    """Whether this is the best evaluation so far by the recipe's best metric."""


class Committed(BaseModel):
    """A checkpoint exists."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["commit"] = "commit"
    time: float
    step: int
    checkpoint: str
    seconds: float
    """From the copy of the state to the end of the writing."""
    num_bytes: int
    stalled_s: float = 0.0
    """How long training waited for it."""


class Ledger(BaseModel):
    """An epoch's rows were added up over all ranks and compared with the manifest."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["ledger"] = "ledger"
    time: float
    step: int
    """Optimizer steps done at the end of the epoch."""
    epoch: int
    split: str
    rows: int
    expected_rows: int
    id_sum: str
    """Sum of row ids mod 2^64, hexadecimal."""
    ok: bool
    drawn: bool = False
    """Whether rows were drawn by `balance`, some of them more than once or not at all."""


class Mishap(BaseModel):
    """The numbers of a step could not be used, and the run goes on."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["mishap"] = "mishap"
    time: float
    step: int
    """The step that was skipped, or the one that the run went back to."""
    action: Literal["skipped", "rolled back"]
    level: Literal["warning"] = "warning"
    text: str
    row_ids: tuple[str, ...]
    """Low halves of the row ids in question, hexadecimal."""
    count: int
    """Mishaps so far."""


class Note(BaseModel):
    """One sentence that a person should read."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["note"] = "note"
    time: float
    level: Literal["info", "warning"]
    text: str
    event: Literal["", "damaged_lines", "retried", "paused", "fell_back", "waiting", "placed"] = ""
    """What it is about, for programs; empty where only people care."""
    attempt: int | None = None
    """The attempt that it is about."""
    reason: str = ""
    """Why that attempt ended or paused."""
    step: int | None = None
    """Optimizer steps done where training goes on, when it fell back to an older commit."""


class Exported(BaseModel):
    """The Hugging Face folder was written, loaded again and gave the same outputs."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["export"] = "export"
    time: float
    path: str
    step: int
    max_difference: float
    """Largest difference of a logit between the exported model, loaded again, and the live one."""
    frozen_unchanged: bool
    """Whether every frozen tensor has the bits of the base model."""
    epoch: float | None = None
    """Epochs after which the weights were so."""
    epochs: float | None = None
    """Epochs of the whole run."""
    best_metric: str | None = None
    """Metric by which they are the best; None for the last weights."""
    holds_code: bool = False
    """Whether transformers loads it with `trust_remote_code` alone."""


class Ended(BaseModel):
    """The run or the job is over."""

    model_config = RECORD
    v: Literal[1] = 1
    kind: Literal["ended"] = "ended"
    time: float
    state: Literal["succeeded", "failed", "stopped"]
    exit_code: int
    error: str | None
    """Class of the error, such as DataError; None when all went well."""
    message: str
    """One sentence: asked, found, do; or what was reached."""
    step: int
    """Optimizer steps done by the run; of a job on its weights, those after which they were so."""
    metrics: dict[str, float | None]
    """Metrics of the last evaluation of the test split, or of validation where there is none; None
    for one that is undefined."""
    rows: int
    """Rows those metrics are over."""
    worked_s: float | None = None
    """Seconds that was worked on the run so far, time that it stood still not counted; None for
    jobs that are no run, and in old records."""


Record = Annotated[
    DataReady
    | Preparing
    | Attempt
    | Phase
    | Proof
    | Recorded
    | Step
    | Evaluated
    | Committed
    | Ledger
    | Mishap
    | Note
    | Exported
    | Ended,
    Field(discriminator="kind"),
]

RECORDS: TypeAdapter[Record] = TypeAdapter(Record)


def read_record(line: str | bytes) -> Record:
    """Read one JSON line; raises pydantic.ValidationError for anything else."""
    return RECORDS.validate_json(line)


def split_lines(text: str) -> list[str]:
    """Split text at line feeds alone, without an empty piece at its end.

    A record holds U+2028, U+0085 and their like as they are, at which str.splitlines splits.
    """
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def read_lines(lines: Iterable[str | bytes]) -> tuple[list[Record], int]:
    """Read lines of records; return those that can be read, and how many are damaged."""
    records, damaged = [], 0
    for line in filter(bool, (line.strip() for line in lines)):
        try:
            records.append(read_record(line))
        except ValidationError:
            damaged += 1
    return records, damaged
