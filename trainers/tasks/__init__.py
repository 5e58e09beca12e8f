"""What a model can learn to do, one file per task; the loop that trains it stands elsewhere."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Columns
from configs.task_sections import Task

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor
    from transformers import PreTrainedModel

    from trainers.data.store import Manifest
    from trainers.step import SummedLoss
    from trainers.tasks.judging import Batching, Fed, Sample, Scores, Setting


class TaskModule(Protocol):
    """What each file of this package has that is a task."""

    AUTO_MODEL: str
    """Name of the class of transformers that loads a model with the head of this task."""
    PIPELINE: str
    """Name of the pipeline of transformers that uses the exported model."""
    PREDICTED: tuple[str, ...]
    """Columns that predicting adds."""

    def columns(self, task: Any) -> Columns:
        """Name the columns that are read, and say what their cells hold."""

    def load_processor(self, model: Model) -> Any:
        """Load what turns cells into numbers: the tokenizer, for text.

        It knows `model_max_length` and `pad_token_id`, and can `save_pretrained`.
        """

    def numbers(self, model: Model, processor: Any) -> dict[str, int]:
        """Give what batches must know besides the rows, such as the start token of a decoder."""

    def encode(
        self,
        task: Any,
        processor: Any,
        max_length: int,
        label_names: tuple[str, ...],
        cells: "pa.Table",
    ) -> "pa.Table":
        """Turn raw columns into the columns of a shard; raises RowError for one that it refuses."""

    def encode_inputs(
        self, task: Any, processor: Any, max_length: int, cells: "pa.Table"
    ) -> "pa.Table":
        """Turn raw input columns, without a target, into those of a shard."""

    def collate(
        self, task: Any, batching: "Batching"
    ) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
        """Give the function that turns shard rows into the model's inputs and labels."""

    def build_model(
        self, model: Model, task: Any, label_names: tuple[str, ...], bits: int | None = None
    ) -> "tuple[PreTrainedModel, frozenset[str], frozenset[str]]":
        """Load the model; also name the parameters of its head, and those of them that are new.

        With 4 `bits` the linear modules of its blocks are loaded in them.
        """

    def output_of(self, outputs: Any) -> "Tensor":
        """Give, of what the model returns, the tensor that the task goes by."""

    def summed_loss(self, outputs: Any, labels: "Tensor") -> "Tensor":
        """Sum the loss over the targets."""

    def training_loss(self, recipe: Recipe, manifest: "Manifest") -> "SummedLoss":
        """Give the loss that training minimises, summed over the targets."""

    def answer(self, setting: "Setting", fed: "Fed") -> Any:
        """Work out what the model says about the rows. Collective under ZeRO-3."""

    def build_scores(self, setting: "Setting") -> "Scores":
        """Make the state from which the metrics of a split are computed, out of answers."""

    def samples(self, setting: "Setting", fed: "Fed", given: Any) -> "list[Sample]":
        """Show the answer about each row that has a target."""

    def predictions(self, setting: "Setting", given: Any) -> dict[str, list[Any]]:
        """Give the columns that predicting adds, out of an answer."""


def task_module(task: Task) -> TaskModule:
    """Give the functions of the recipe's task."""
    from trainers.tasks import (
        image_classification,
        instruction_tuning,
        language_modeling,
        multi_label_classification,
        sentence_embedding,
        sequence_to_sequence,
        text_classification,
        text_regression,
        token_classification,
    )

    modules: dict[str, TaskModule] = {
        "text_classification": text_classification,
        "multi_label_classification": multi_label_classification,
        "text_regression": text_regression,
        "language_modeling": language_modeling,
        "instruction_tuning": instruction_tuning,
        "token_classification": token_classification,
        "sentence_embedding": sentence_embedding,
        "image_classification": image_classification,
        "sequence_to_sequence": sequence_to_sequence,
    }
    return modules[task.kind]
