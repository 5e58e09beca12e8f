"""Write whole weights as a Hugging Face folder, then read it back; gathering them is the run's.

The folder loads with transformers alone; thaw.json beside it says what a predictor has to know.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import CheckpointError, NotFoundError, StorageError
from configs.model_sections import Model
from configs.task_sections import (
    ImageClassification,
    InstructionTuning,
    SentenceEmbedding,
    Task,
    generation_of,
)
from trainers import storage
from trainers.adapter_export import ADAPTER_FOLDER, build_empty, build_merged, save_adapter
from trainers.export_folder import EXPORT_FILE, Mark
from trainers.masking import is_active, masked_bytes
from trainers.model_card import Origin, render_model_card
from trainers.sentence_files import PooledHead, add_own_class, save_sentence_files
from trainers.tasks import functions_of
from trainers.tasks.equal_lengths import KEY, feed_equal_lengths
from trainers.tasks.generation import generation_config
from trainers.tasks.model_class import model_class
from trainers.tasks.sentence_folder import Vectors, kept_vectors

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class Export(BaseModel):
    """What an exported folder says about itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    task: Task
    label_names: tuple[str, ...]
    max_length: int
    """Most tokens of a row."""
    numbers: dict[str, int] = {}
    """What batches must know besides the rows."""
    implementation: str | None = None
    """Import path of the class that loads the folder; None for the task's class of transformers."""
    pooling: Literal["own", "mean", "cls", "folder"] = "own"
    """What the head reads, as the recipe asked; the config says which of them it is."""
    mark: Mark | None = None
    """Which run made it, and which files are its own; None in exports of old."""


def save_export(
    folder: Path,
    state_dict: "dict[str, Tensor]",
    model: "PreTrainedModel",
    processor: Any,
    origin: Origin,
) -> None:
    """Write weights, config, processor, thaw.json and model card into a local folder.

    state_dict holds whole CPU tensors under the model's names, in the type to be stored, with
    adapters in fp32; of the model only class and config are used, so its own weights may lie in
    slices on other ranks. Adapters are merged into the weights, and stand alone in `adapter`.
    """
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    lora = origin.recipe.freezing.lora
    if lora is None:
        whole = build_empty(model)
        whole.load_state_dict(state_dict, strict=True, assign=True)
    else:
        dtype = getattr(torch, origin.recipe.model.dtype or "float32")
        whole = build_merged(model, state_dict, lora, dtype)
        save_adapter(folder / ADAPTER_FOLDER, state_dict, model, origin.recipe, dtype)
    whole.tie_weights()
    asked = generation_of(origin.recipe.task)
    if asked is not None:
        whole.generation_config = generation_config(model, asked, processor)
    if origin.recipe.model.pooling != "own":
        add_own_class(folder, whole)
    whole.save_pretrained(folder)
    _save_processor(folder, processor, origin.recipe.task)
    _save_sentence_files(folder, whole, processor, origin, kept_vectors(model))
    export = _as_export(origin)
    (folder / EXPORT_FILE).write_text(export.model_dump_json(indent=2) + "\n")
    (folder / "README.md").write_text(render_model_card(origin))
    mask_texts(folder)


def _save_sentence_files(
    folder: Path, whole: "PreTrainedModel", processor: Any, origin: Origin, vectors: Vectors
) -> None:
    """Write what sentence-transformers reads, where its modules can do what the model does."""
    is_pooled = origin.recipe.model.pooling != "own"
    if is_pooled or isinstance(origin.recipe.task, SentenceEmbedding):
        most = min(origin.manifest.max_length, processor.model_max_length)
        width = whole.config.get_text_config().hidden_size
        head = PooledHead.of(whole) if is_pooled else None
        save_sentence_files(folder, width, most, head, vectors)


def mask_texts(folder: Path) -> None:
    """Put stars for secrets into all files of a folder but weights: libraries wrote most."""
    if not is_active():
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".safetensors":
            data = path.read_bytes()
            if (clean := masked_bytes(data)) != data:
                path.write_bytes(clean)


def _as_export(origin: Origin) -> Export:
    recipe, manifest = origin.recipe, origin.manifest
    return Export(
        task=recipe.task,
        label_names=manifest.label_names,
        max_length=manifest.max_length,
        numbers=manifest.numbers,
        implementation=recipe.model.implementation,
        pooling=recipe.model.pooling,
    )


def _save_processor(folder: Path, processor: Any, task: Task) -> None:
    """Write the processor, with the chat template or the size of images that the task asks for."""
    if isinstance(task, InstructionTuning) and task.chat_template is not None:
        processor.chat_template = task.chat_template
    if isinstance(task, ImageClassification):
        processor = processor.sized(task.image_size)
    processor.save_pretrained(folder)


def read_export(address: str) -> Export:
    """Read what an exported folder says about itself; raises NotFoundError, CheckpointError."""
    file = storage.join(address, EXPORT_FILE)
    if not storage.exists(file):
        raise NotFoundError(f"{address} holds no exported model. Export the run first")
    try:
        export = Export.model_validate_json(storage.read_bytes(file))
    except ValidationError as error:
        raise CheckpointError(f"{file} is damaged. Export the run again") from error
    if export.mark is not None and not export.mark.whole:
        raise CheckpointError(
            f"{address} is half of one export and half of another. Export again with --overwrite"
        )
    return export


def load_exported(folder: Path) -> "PreTrainedModel":
    """Load the weights of an exported folder as any user would, out of safetensors alone.

    A model that sees padding is fed rows of one length at a time. Raises StorageError for a folder
    without them.
    """
    export = read_export(str(folder))
    source = Model(path=str(folder), implementation=export.implementation, pooling=export.pooling)
    loader = model_class(source, functions_of(export.task).auto_model)
    try:
        model: PreTrainedModel = loader.from_pretrained(folder, use_safetensors=True)
    except OSError as error:
        raise StorageError(
            f"{folder} holds no model.safetensors that can be read. Export the run again"
        ) from error
    if export.numbers.get(KEY):
        feed_equal_lengths(model)
    model.eval()
    return model


def check_export(folder: Path, inputs: "dict[str, Tensor]", given: "Tensor") -> float:
    """Load a folder and feed it; returns the largest difference from what the live model gave."""
    import torch

    model = load_exported(folder)
    with torch.no_grad():
        found = functions_of(read_export(str(folder)).task).output_of(model(**inputs))
    return float((found.float() - given.float()).abs().max())
