"""The recipe: everything a person may ask of a run; how it is read from YAML stands in load.py."""

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from configs.addresses import FolderToWrite
from configs.augmentation_sections import Augmentation
from configs.balance_sections import Balance, Loss
from configs.data_sections import Batch, Data
from configs.fault_sections import Faults
from configs.freezing_sections import Freezing, lay_out_presets
from configs.import_paths import split_import_path
from configs.metric_names import metric_problem
from configs.model_sections import SECTION, Model, Optimizer, Schedule, Zero
from configs.names import is_run_name, run_name_problem
from configs.run_sections import (
    LAST,
    Checkpoint,
    Cluster,
    EarlyStopping,
    Evaluation,
    Tracking,
)
from configs.task_sections import (
    CONTINUES,
    ONE_LABEL,
    WHOLE_TEXTS,
    Task,
    generation_of,
    writes_in_evaluation,
)


class Recipe(BaseModel):
    """One fine-tuning run, whole and checked."""

    model_config = SECTION

    name: str
    """Name of the run: lower case letters, digits and . _ - between them, at most 63."""
    storage: FolderToWrite = "runs"
    """Folder, s3:// or gs:// address that every node sees; the run lives in <storage>/<name>."""
    model: Model
    """The pre-trained model."""
    task: Task
    """What the model learns to do."""
    data: Data
    """The labelled rows."""
    freezing: Freezing = Freezing()
    """Which parameters learn."""
    optimizer: Optimizer = Optimizer()
    """How gradients become weights."""
    schedule: Schedule = Schedule()
    """How the learning rate moves."""
    augmentation: Augmentation = Augmentation()
    """How training rows are changed at random."""
    balance: Balance = Balance()
    """What is done about classes of unequal size."""
    loss: Loss = Loss()
    """What training minimises."""
    batch: Batch = Batch()
    """How many rows a step sees."""
    epochs: int = Field(default=3, ge=1, le=1_000_000)
    """Times that every training row is seen."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps after which training ends even inside an epoch; None trains all epochs."""
    zero: Zero = Zero()
    """How training state is sharded."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the computation; weights and moments are kept in fp32 always."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    evaluation: Evaluation = Evaluation()
    """When the model is evaluated."""
    early_stopping: EarlyStopping | None = None
    """When training ends early; None trains to the end."""
    checkpoint: Checkpoint = Checkpoint()
    """When the run commits."""
    tracking: Tracking = Tracking()
    """What is written down."""
    cluster: Cluster = Cluster()
    """Which machines carry the run."""
    faults: Faults = Faults()
    """What is done when something goes wrong on a rank."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of everything random: head, order of rows, dropout."""

    @model_validator(mode="before")
    @classmethod
    def _presets_reach_other_sections(cls, value: Any) -> Any:
        return lay_out_presets(value)

    @field_validator("name")
    @classmethod
    def _name_is_a_folder_name(cls, name: str) -> str:
        if not is_run_name(name):
            raise ValueError(run_name_problem(name))
        return name

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        problems = [*self._of_other_tasks(), *self._of_own_code(), *self._of_metrics()]
        lanes, workers = self.batch.lanes, self.cluster.most_workers
        if not self.cluster.worker_counts(lanes):
            below, above = lanes - lanes % workers, lanes - lanes % workers + workers
            choice = f"{below} or {above}" if below else f"{above}"
            problems.append(
                f"batch.lanes ({lanes}) is not a multiple of cluster.num_workers "
                f"({self.cluster.shown_workers}). Use {choice} lanes"
            )
        has_validation = self.data.validation is not None
        problems += self.freezing.disagreements(self.epochs, has_validation=has_validation)
        if self.freezing.prefix_cache == "on" and self.augmentation.is_on:
            problems.append(
                "freezing.prefix_cache is on but augmentation changes rows anew in each epoch. "
                "Use auto, or leave augmentation out"
            )
        if self.freezing.lora is not None:
            problems += self.freezing.lora.disagreements(
                gpus_per_worker=self.cluster.gpus_per_worker,
                stage=self.zero.stage,
                precision=self.precision,
            )
        if self.precision == "fp16" and self.cluster.gpus_per_worker == 0:
            problems.append("precision fp16 needs GPUs. Use bf16 or fp32, or set gpus_per_worker")
        if self.precision == "fp32" and self.model.attention == "flash_attention_2":
            problems.append(
                "model.attention flash_attention_2 needs half precision, found fp32. Use "
                "precision bf16 or fp16"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _of_other_tasks(self) -> list[str]:
        """Say what is asked for that the recipe's task does not have."""
        kind = self.task.kind
        smooths = self.loss.label_smoothing > 0 and kind != "sequence_to_sequence"
        problems, pools = self.augmentation.disagreements(kind), self.model.pooling != "own"
        for key, is_asked, kinds, whose in (
            ("balance", self.balance.method != "none", ONE_LABEL, "tasks with one label a row"),
            ("loss.label_smoothing", smooths, ONE_LABEL, "tasks with one label a row"),
            ("batch.packing", self.batch.packing, CONTINUES, "language models"),
            ("model.pooling", pools, WHOLE_TEXTS, "tasks with one answer a text"),
        ):
            if is_asked and kind not in kinds:
                problems.append(f"{key} is for {whose}, not {kind}. Leave it out")
        if self.faults.feed_parts > 1 and kind == "sentence_embedding":
            problems.append(
                f"faults.feed_parts is {self.faults.feed_parts} but {kind} compares all texts of a "
                "microbatch with each other. Use activation_checkpointing to need less memory"
            )
        if self.freezing.prefix_cache == "on":
            problems += [
                f"freezing.prefix_cache is on but {why}"
                for why, is_so in (
                    (
                        "evaluation writes text, which needs the whole model. Use auto, or set "
                        "task.generation.evaluation_rows to 0",
                        writes_in_evaluation(self.task),
                    ),
                    (
                        "batch.packing joins rows that are recorded one by one. Use auto, or leave "
                        "packing out",
                        self.batch.packing,
                    ),
                    (
                        f"a row of {kind} is several texts, which cannot be recorded. Use auto",
                        kind == "sentence_embedding",
                    ),
                )
                if is_so
            ]
        return problems

    def _of_metrics(self) -> Iterator[str]:
        """Yield what is wrong with each metric that something goes by."""
        if self.data.validation is None:
            for key, value in (
                ("early_stopping", self.early_stopping),
                ("evaluation.best_metric", self.evaluation.best_metric),
            ):
                if value not in (None, LAST):
                    yield f"{key} needs data.validation. Give it, such as 10%"
        asked = {} if self.exports_last else {"evaluation.best_metric": self.evaluation.best_metric}
        if self.early_stopping is not None:
            asked["early_stopping.metric"] = self.early_stopping.metric
        for number, phase in enumerate(self.freezing.schedule):
            if phase.until_stall is not None:
                key = f"freezing.schedule.{number}.until_stall.metric"
                asked[key] = phase.until_stall.metric
        for key, name in asked.items():
            last = (LAST,) if key == "evaluation.best_metric" else ()
            if name is not None and (problem := metric_problem(self.task, name, *last)):
                yield f"{key}: {problem}"

    def _of_own_code(self) -> list[str]:
        """Say what of a person's own code would never be called, or stands for two things."""
        problems, metrics = [], self.task.metric
        if self.model.implementation is not None and self.model.pooling != "own":
            problems.append(
                f"model.pooling ({self.model.pooling}) puts a head of ours on the model, and "
                "model.implementation has one of its own. Keep one"
            )
        if self.loss.function is not None and self.balance.changes_loss:
            problems.append(
                f"loss.function takes the place of the loss that balance.method "
                f"({self.balance.method}) would change. Keep one"
            )
        names = [split_import_path(path)[1] for path in metrics]
        if twice := next((name for name in names if names.count(name) > 1), None):
            problems.append(
                f"task.metric names two functions {twice}, and both would give a metric of that "
                "name. Rename one"
            )
        if metrics and self.data.validation is None and self.data.test is None:
            problems.append(
                "task.metric needs rows to judge. Give data.validation or data.test, such as 10%"
            )
        writes = generation_of(self.task) is not None
        if metrics and writes and not writes_in_evaluation(self.task):
            problems.append(
                "task.metric judges the texts that are written in evaluation, but "
                "task.generation.evaluation_rows is 0. Raise it"
            )
        return problems

    @property
    def own_code(self) -> dict[str, tuple[str, ...]]:
        """Import paths of a person's own code, by the key that names them."""
        named = {
            "model.implementation": (self.model.implementation,),
            "loss.function": (self.loss.function,),
            "task.metric": self.task.metric,
        }
        given = {key: tuple(path for path in paths if path) for key, paths in named.items()}
        return {key: paths for key, paths in given.items() if paths}

    @property
    def best_metric(self) -> str | None:
        """Name of the metric that evaluations are compared by; None where the recipe names none."""
        if self.evaluation.best_metric is not None and not self.exports_last:
            return self.evaluation.best_metric
        return self.early_stopping.metric if self.early_stopping is not None else None

    @property
    def exports_last(self) -> bool:
        """Whether the last weights are asked for, whatever the evaluations say."""
        return self.evaluation.best_metric == LAST

    @property
    def pad_to_multiple_of(self) -> int:
        """Tokens to whose multiple rows are padded: tensor cores of half precision want 8."""
        if self.batch.pad_to_multiple_of is not None:
            return self.batch.pad_to_multiple_of
        return 1 if self.precision == "fp32" else 8
