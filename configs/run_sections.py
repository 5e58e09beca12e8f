"""Recipe sections about a run's life: evaluation, stopping, checkpoints, tracking, machines."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from configs.model_sections import SECTION
from configs.secret_words import checked_env, checked_names

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0)]
LAST = "last"
"""What `evaluation.best_metric` says where the last weights are wanted, not the best."""


KEYS_OF_RESOURCES = {
    "CPU": "cpus_per_worker",
    "GPU": "gpus_per_worker",
    "memory": "memory_gib_per_worker",
}
"""Ray resources that have a key of their own."""


class Evaluation(BaseModel):
    """When the validation split is evaluated, and by which metric the best weights are known."""

    model_config = SECTION

    every_epochs: int | None = Field(default=1, ge=1)
    """Epochs between evaluations; None evaluates by steps only."""
    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between evaluations; None evaluates by epochs only."""
    at_start: bool = False
    """Evaluate once before the first step."""
    best_metric: str | None = None
    """Metric whose best weights are exported, or `last` for the last weights; None takes
    early_stopping's, else the first that is shown of the task's, such as macro_f1. Without
    data.validation the last weights are exported."""


class EarlyStopping(BaseModel):
    """When training ends before its last epoch."""

    model_config = SECTION

    metric: str = "loss"
    """Evaluated metric that must improve, such as loss, accuracy, macro_f1; which weights are
    exported, evaluation.best_metric says where it is given."""
    patience: int = Field(default=3, ge=1)
    """Evaluations in a row without improvement after which training stops."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smallest change that counts as an improvement."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether lower or higher is better; auto takes min for losses and errors, else max."""


class Checkpoint(BaseModel):
    """When the run commits, and which commits it keeps."""

    model_config = SECTION

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between commits; None commits by epochs and minutes only."""
    every_minutes: float | None = Field(default=15.0, gt=0)
    """Minutes between commits; None commits by epochs and steps only."""
    every_epochs: int | None = Field(default=1, ge=1)
    """Epochs between commits; None commits by steps and minutes only."""
    keep_last: int = Field(default=2, ge=1)
    """Newest commits that are kept; the best ones are kept besides."""
    keep_best: int = Field(default=1, ge=1)
    """Best commits by `evaluation.best_metric` that are kept."""
    keep_optimizer: bool = True
    """Whether commits keep the optimizer state, some two thirds of their size, once the run has
    succeeded; without it they can be evaluated and exported, and no step can follow."""
    deadline_s: float = Field(default=300.0, ge=0)
    """Seconds for which the storage may refuse a commit or a record before the run ends; training
    goes on meanwhile."""


class Tracking(BaseModel):
    """What is written down while the run goes on."""

    model_config = SECTION

    tensorboard: bool = True
    """Write TensorBoard event files into the run directory."""
    log_every_steps: int = Field(default=10, ge=1)
    """Optimizer steps between two step records; evaluations are always recorded."""
    sample_predictions: int = Field(default=8, ge=0)
    """Predictions shown as text at each evaluation."""


class Cluster(BaseModel):
    """Which machines carry the run."""

    model_config = SECTION

    address: str | None = None
    """Address of the Ray dashboard, http://host:8265; None takes --address, the environment, or the
    cluster of `thaw cluster up`."""
    num_workers: Count | tuple[Count, Count] = 1
    """Worker processes, or [fewest, most] to use what there is; the number divides batch.lanes."""
    cpus_per_worker: float = Field(default=1, gt=0)
    """CPUs that each worker takes."""
    gpus_per_worker: float = Field(default=0, ge=0)
    """GPUs that each worker takes; 0 trains on CPUs with gloo, else nccl."""
    memory_gib_per_worker: float | None = Field(default=None, gt=0)
    """Host memory in GiB that each worker reserves; None reserves none."""
    resources_per_worker: dict[str, Amount] = {}
    """Further Ray resources that each worker takes, by name."""
    placement: Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"] = "SPREAD"
    """How workers are laid over the nodes (Ray placement group strategy)."""
    max_failures: int = Field(default=3, ge=0)
    """Lost workers and nodes after which the run gives up; a bad recipe is never retried."""
    cache_gib: float = Field(default=50, gt=0)
    """GiB of remote shards that each node keeps on its own disk; the oldest go first."""
    working_dir: str | None = Field(default=None, min_length=1)
    """Folder with a person's own code, shipped with each job and importable in all its processes;
    None ships none."""
    env: Annotated[dict[str, str], BeforeValidator(checked_env)] = {}
    """Environment variables of driver and workers; never secrets: the cluster shows them."""
    secrets: Annotated[tuple[str, ...], BeforeValidator(checked_names)] = ()
    """Names of variables that every machine sets itself, such as HF_TOKEN; never their values."""

    @field_validator("resources_per_worker")
    @classmethod
    def _resources_are_further_ones(cls, given: dict[str, float]) -> dict[str, float]:
        for name in given:
            if key := KEYS_OF_RESOURCES.get(name):
                raise ValueError(f"{name} has a key of its own. Use {key}")
            if not name.strip():
                raise ValueError(f"found a resource named {name!r}. Give it the name that Ray has")
        return given

    @model_validator(mode="after")
    def _fewest_come_first(self) -> Self:
        if self.fewest_workers > self.most_workers:
            raise ValueError(
                f"num_workers [{self.fewest_workers}, {self.most_workers}] is no range. "
                "Give the fewest first"
            )
        return self

    @model_validator(mode="after")
    def _secrets_are_not_in_env(self) -> Self:
        if both := sorted(set(self.env) & set(self.secrets)):
            raise ValueError(f"{both[0]} is in env and in secrets. Keep it in secrets alone")
        return self

    @property
    def fewest_workers(self) -> int:
        """Workers below which the run waits."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def most_workers(self) -> int:
        """Workers above which more machines change nothing."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    @property
    def shown_workers(self) -> str:
        """The number of workers as people read it: `4` or `2 to 4`."""
        fewest, most = self.fewest_workers, self.most_workers
        return f"{most}" if fewest == most else f"{fewest} to {most}"

    def worker_counts(self, lanes: int) -> tuple[int, ...]:
        """Give the numbers of workers that are asked for and among which lanes can be shared."""
        counts = range(self.fewest_workers, self.most_workers + 1)
        return tuple(count for count in counts if lanes % count == 0)
