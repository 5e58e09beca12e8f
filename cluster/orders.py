"""What the driver tells the workers of one attempt; both ends of the wire read it from here."""

from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import StorageError
from configs.records import DataReady, Ended
from configs.schema import Recipe
from trainers import storage as files

FINETUNE = "trainers.finetune:finetune"


class Orders(BaseModel):
    """One attempt, as its workers see it."""

    model_config = ConfigDict(frozen=True)

    function: str
    """What every rank calls: `module:name`."""
    recipe: Recipe
    num_workers: int
    """Worker processes of this attempt."""
    allow_change: bool = False
    """Whether to go on from a commit of another recipe or other data."""
    run_dir: str
    data_dir: str | None
    """The prepared set; None lets rank 0 prepare it before the process group exists."""
    attempt: int
    claim: str = ""
    """What the file says by which the driver took the attempt's number."""
    reason: str
    """Why there is this attempt."""
    resumed_from_step: int | None
    arguments: dict[str, str] = {}
    """Further arguments of functions other than fine-tuning."""
    records: str
    """Address of the file that the attempt's records go to."""
    label: str
    """Name of the attempt's folder in `logs`."""

    @property
    def is_finetuning(self) -> bool:
        """Whether the function takes a stop request and writes the run's records by itself."""
        return not self.arguments

    @property
    def logs(self) -> str:
        """Give the folder of the attempt's log files."""
        return files.join(self.run_dir, "logs", self.label)

    @property
    def data(self) -> str:
        """Give the address of the file in which rank 0 says where the data it prepared are."""
        return files.join(self.logs, "data.json")

    @property
    def pause(self) -> str:
        """Give the address of the file by which the driver asks for a commit and an end."""
        return files.join(self.logs, "pause.json")

    @property
    def outcome(self) -> str:
        """Give the address of the file in which rank 0 says how the attempt ended."""
        return files.join(self.logs, "outcome.json")


def read_outcome(orders: Orders) -> Ended | None:
    """Read how an attempt ended, by rank 0's own word; None while there is none.

    Raises StorageError for a file that is damaged.
    """
    if not files.exists(orders.outcome):
        return None
    try:
        return Ended.model_validate_json(files.read_bytes(orders.outcome))
    except ValidationError as error:
        raise StorageError(
            f"{orders.outcome} is damaged: it does not say how the attempt ended. Resume the run"
        ) from error


def read_data(orders: Orders) -> DataReady | None:
    """Read what rank 0 prepared; None while there is nothing.

    Raises StorageError for a file that is damaged.
    """
    if not files.exists(orders.data):
        return None
    try:
        return DataReady.model_validate_json(files.read_bytes(orders.data))
    except ValidationError as error:
        raise StorageError(
            f"{orders.data} is damaged: it does not say where the prepared data are. Resume the run"
        ) from error


def load_function(path: str) -> Any:
    """Import `module:name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
