"""Image classification: one label for each image.

How files become pixels stands in images.py, what one label a row means in one_label.py, how the
model is loaded in pretrained.py.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from configs.errors import RecipeError
from configs.model_sections import Model
from configs.task_columns import Column, Columns
from configs.task_sections import ImageClassification
from trainers.tasks.functions import Built, encode_with_labels
from trainers.tasks.images import (
    ImageProcessor,
    load_image_processor,
    normalisation,
    read_image,
)
from trainers.tasks.judging import Batching, Fed, Sample, Scored, Setting
from trainers.tasks.model_class import from_config, model_class
from trainers.tasks.one_label import Answer, judged, label_numbers, labels_of
from trainers.tasks.pixels import (
    HEIGHT,
    PIXELS,
    WIDTH,
    normaliser,
    pixel_column,
    pixels_of,
    shape_of,
    value_tables,
)
from trainers.tasks.pretrained import Head, build_pretrained
from trainers.tasks.refusals import RowError
from trainers.tasks.text_classification import TEXT_CLASSIFICATION

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

AUTO_MODEL = "AutoModelForImageClassification"
TOP = 5


def columns(task: ImageClassification) -> Columns:
    """Name the columns with the image and the label."""
    return Columns((Column(task.image, "image"),), Column(task.label, "label"))


def numbers(model: Model, processor: ImageProcessor) -> dict[str, int]:
    """Give the shape of the pixels that the model asks for, and how they are normalised."""
    return normalisation(processor.sized(None))


def encode_inputs(
    task: ImageClassification, processor: ImageProcessor, max_length: int, cells: pa.Table
) -> pa.Table:
    """Turn an image column into pixels (one fixed size a row), width, height and length, 1 a row.

    Width and height are those that the image had. Raises RowError for one that does not decode.
    """
    sized = processor.sized(task.image_size)
    fed = sized.shape()
    pixels = np.empty((len(cells), *fed), np.uint8)
    sizes = np.empty((2, len(cells)), np.int32)
    for row, cell in enumerate(cells[task.image].to_pylist()):
        image = read_image(cell, sized.channels, row)
        sizes[:, row] = image.size
        found = sized.pixels(image)
        if found.shape != fed:
            raise RowError(
                row,
                f"the image has {found.shape[1]} x {found.shape[2]} pixels where the model reads "
                f"{fed[1]} x {fed[2]} and resizes none. Set task.image_size",
            )
        pixels[row] = found
    lengths = pa.array(np.ones(len(cells), np.int32))
    width, height = map(pa.array, sizes)
    return pa.table({PIXELS: pixel_column(pixels), WIDTH: width, HEIGHT: height, "length": lengths})


def shape(task: ImageClassification, numbers: dict[str, int]) -> tuple[int, int, int]:
    """Give channels, height and width of the pixels that are fed."""
    return shape_of(numbers, task.image_size)


def collate(
    task: ImageClassification, batching: Batching
) -> "Callable[[pa.Table], tuple[dict[str, Tensor], Tensor]]":
    """Give the function that normalises the pixels of shard rows.

    It returns pixel_values, (rows, channels, height, width) float32, and labels (rows,) int64, -100
    where a row has none.
    """
    fed = shape(task, batching.numbers)
    normalise = normaliser(batching.numbers)

    def normalised(rows: pa.Table) -> "tuple[dict[str, Tensor], Tensor]":
        import torch

        values = normalise(pixels_of(rows, fed))
        return {"pixel_values": torch.from_numpy(values)}, labels_of(rows, batching)

    return normalised


def build_model(
    model: Model, task: ImageClassification, label_names: tuple[str, ...], bits: int | None = None
) -> Built:
    """Load the model with a classification head in fp32; also name the head and what of it is new.

    Nothing is new where the head came with the model. Raises RecipeError for a model that cannot be
    used as asked, or whose weights are not whole.
    """

    def adapt(config: "PreTrainedConfig") -> None:
        if task.image_size is not None:
            _set_image_size(config, task.image_size, model)

    return build_pretrained(
        AUTO_MODEL, model, Head(label_names, adapt=adapt, reads_text=False), bits
    )


def _set_image_size(config: "PreTrainedConfig", size: int, model: Model) -> None:
    """Write the size of images into the config; raises RecipeError where the weights forbid it."""
    before = getattr(config, "image_size", size)
    if before == size:
        config.image_size = size
        return
    shapes = _parameter_shapes(config, model)
    config.image_size = size
    if not model.from_scratch and _parameter_shapes(config, model) != shapes:
        raise RecipeError(
            f"task.image_size is {size} but the weights of {model.path} are for images of "
            f"{before} x {before} pixels. Leave task.image_size out, or train from scratch"
        )


def _parameter_shapes(config: "PreTrainedConfig", model: Model) -> dict[str, tuple[int, ...]]:
    import torch

    with torch.device("meta"):
        parameters = from_config(model_class(model, AUTO_MODEL), config).named_parameters()
        return {name: tuple(parameter.shape) for name, parameter in parameters}


class ImageScores:
    """Scores of one label a row and, where there are more than five, of the five likeliest."""

    def __init__(self, setting: Setting) -> None:
        from torchmetrics.classification import MulticlassAccuracy

        from trainers.metrics import ClassScores

        classes = len(setting.label_names)
        self._classes = ClassScores(setting.label_names, setting.device)
        self._top = None
        if classes > TOP:
            top = MulticlassAccuracy(classes, top_k=TOP, average="micro", validate_args=False)
            self._top = top.to(setting.device)

    def update(self, given: Answer, counted: "Tensor") -> None:
        """Count rows by their probabilities; rows that are not counted are left out."""
        self._classes.update(given, counted)
        if self._top is not None and bool(counted.any()):
            self._top.update(given.probabilities[counted], given.labels[counted])

    def compute(self) -> Scored:
        """Score the rows of all ranks. Collective: every rank calls this."""
        scored = self._classes.compute()
        if self._top is not None:
            scored.metrics["top_5_accuracy"] = float(self._top.compute())
        return scored


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show picture, label and most probable label of each row whose label is not -100."""
    pictures = _shown(setting.processor(), fed.inputs["pixel_values"])
    return judged(setting, given, pictures=pictures)


def _shown(processor: ImageProcessor, values: "Tensor") -> np.ndarray:
    """Give the pixels that were normalised: (rows, height, width, channels) uint8."""
    tables = value_tables(normalisation(processor))
    scale = (tables[:, 1] - tables[:, 0])[:, None, None]
    pixels: np.ndarray = (values.cpu().float().numpy() - tables[:, :1, None]) / scale
    return pixels.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


IMAGE_CLASSIFICATION = replace(
    TEXT_CLASSIFICATION,
    auto_model=AUTO_MODEL,
    pipeline="image-classification",
    columns=columns,
    load_processor=load_image_processor,
    numbers=numbers,
    pixels=shape,
    encode=encode_with_labels(encode_inputs, label_numbers),
    encode_inputs=encode_inputs,
    collate=collate,
    build_model=build_model,
    build_scores=ImageScores,
    samples=samples,
)
