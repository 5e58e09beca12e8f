"""Images to pixels and labels, top-5, samples, and whole runs of each family of models."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from configs.errors import DataError, RecipeError
from configs.model_sections import Model
from configs.schema import Recipe
from configs.task_columns import Column, Columns
from configs.task_sections import ImageClassification
from tests.on_ranks import on_ranks
from tests.proofs import with_proofs
from tests.tiny_images import (
    SIZE,
    data_address,
    make_image_model,
    make_image_processor,
    make_images,
)
from tests.trainers.runs import export_of, read_export, run_all
from tests.trainers.task_runs import prove_task
from trainers.data.preparation import prepare
from trainers.tasks import functions_of
from trainers.tasks.image_classification import IMAGE_CLASSIFICATION
from trainers.tasks.images import ImageProcessor
from trainers.tasks.judging import Batching, Fed, Setting
from trainers.tasks.one_label import Answer
from trainers.tasks.refusals import RowError

TASK = ImageClassification(kind="image_classification")
NAMES = ("cat", "dog", "owl")


def _processor(channels: int = 3) -> ImageProcessor:
    return ImageProcessor(make_image_processor("vit", channels), channels)


def _image(seed: int, size: int = SIZE) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def _encoded(task: ImageClassification, cells: list[str], labels: list[str]) -> pa.Table:
    table = pa.table({"image": cells, "label": labels})
    return IMAGE_CLASSIFICATION.encode(task, _processor(), 1, NAMES, table)


def _batching(processor: ImageProcessor) -> Batching:
    numbers = IMAGE_CLASSIFICATION.numbers(Model(path="x"), processor)
    return Batching(0, 1, 1, len(NAMES), numbers=numbers)


def test_columns_are_those_of_the_recipe() -> None:
    assert functions_of(TASK) is IMAGE_CLASSIFICATION
    expected = Columns((Column("image", "image"),), Column("label", "label"))
    assert IMAGE_CLASSIFICATION.columns(TASK) == expected


def test_rows_hold_pixels_label_and_a_length_of_one() -> None:
    cells = [data_address(_image(seed)) for seed in (0, 1)]
    table = _encoded(TASK, cells, ["owl", "cat"])
    assert table.column_names == ["pixels", "width", "height", "label", "length"]
    assert table["width"].to_pylist() == table["height"].to_pylist() == [SIZE, SIZE]
    assert table["pixels"].type == pa.binary(3 * SIZE * SIZE)
    assert (table["label"].to_pylist(), table["length"].to_pylist()) == ([2, 0], [1, 1])


@pytest.mark.parametrize("image_size", [None, 24])
def test_what_is_fed_has_the_bits_of_transformers_processor(image_size: int | None) -> None:
    task = TASK.model_copy(update={"image_size": image_size})
    images = [_image(seed, 40) for seed in range(3)]
    table = _encoded(task, [data_address(image) for image in images], ["cat", "dog", "owl"])
    inputs, labels = IMAGE_CLASSIFICATION.collate(task, _batching(_processor()))(table.slice(1))
    inner = _processor().sized(image_size).inner
    expected = inner(images[1:], return_tensors="np")["pixel_values"]
    assert np.array_equal(inputs["pixel_values"].numpy(), expected)
    assert labels.tolist() == [1, 2]


def test_rows_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(RowError, match=r"broken.png does not decode") as refused:
        _encoded(TASK, [data_address(_image(0)), str(path)], ["cat", "dog"])
    assert refused.value.index == 1
    with pytest.raises(DataError, match="label 'cow' in column label is none of 3 labels"):
        _encoded(TASK, [data_address(_image(0))], ["cow"])


def test_an_image_of_another_size_is_refused_where_none_is_resized() -> None:
    """A processor that keeps the size of images, as one of three pixels to a side and no other."""

    def as_it_is(images: list[Image.Image], **asked: bool) -> dict[str, list[np.ndarray]]:
        size = images[0].size if images[0].size in ((16, 16), (9, 9)) else (16, 16)
        return {"pixel_values": [np.zeros((3, *size), np.uint8)]}

    cells = pa.table({"image": [data_address(_image(0)), data_address(_image(1, 9))]})
    told = r"the image has 9 x 9 pixels where the model reads 16 x 16 and resizes none\. Set task"
    with pytest.raises(RowError, match=told) as refused:
        IMAGE_CLASSIFICATION.encode_inputs(TASK, ImageProcessor(as_it_is, 3), 1, cells)
    assert refused.value.index == 1


def test_top_five_counts_rows_whose_label_is_among_the_five_likeliest() -> None:
    names = tuple("abcdefg")
    setting = Setting(TASK, names, "cpu", _processor)
    scores = IMAGE_CLASSIFICATION.build_scores(setting)
    likely = torch.arange(7.0).repeat(4, 1).softmax(-1)  # the two least likely are 0 and 1
    labels = torch.tensor([0, 1, 2, 6])
    scores.update(Answer(likely, labels), torch.tensor([True, False, True, True]))
    scores.update(Answer(likely, labels), torch.zeros(4, dtype=torch.bool))
    metrics = scores.compute().metrics
    assert metrics["top_5_accuracy"] == pytest.approx(2 / 3)
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    few = IMAGE_CLASSIFICATION.build_scores(Setting(TASK, NAMES, "cpu", _processor))
    few.update(Answer(likely[:, :3], torch.zeros(4).long()), torch.ones(4, dtype=torch.bool))
    assert "top_5_accuracy" not in few.compute().metrics


def test_samples_show_the_picture_that_was_fed() -> None:
    images = [_image(seed) for seed in (0, 1)]
    table = _encoded(TASK, [data_address(image) for image in images], ["cat", "dog"])
    inputs, labels = IMAGE_CLASSIFICATION.collate(TASK, _batching(_processor()))(table)
    labels[0] = -100
    fed = Fed(inputs, labels, SimpleNamespace(logits=torch.eye(3)[:2]))
    setting = Setting(TASK, NAMES, "cpu", _processor)
    (sample,) = IMAGE_CLASSIFICATION.samples(
        setting, fed, IMAGE_CLASSIFICATION.answer(setting, fed)
    )
    assert (sample.label, sample.prediction) == ("dog", "dog")
    assert np.array_equal(sample.picture, np.asarray(images[1]))


@pytest.mark.parametrize("kind", ["resnet", "vit", "convnext"])
def test_the_head_is_replaced_and_nothing_else_is_new(tmp_path: Path, kind: str) -> None:
    folder = make_image_model(tmp_path, kind, num_labels=7)
    loaded, head, new = IMAGE_CLASSIFICATION.build_model(Model(path=str(folder)), TASK, NAMES)
    assert new == head
    assert {name.split(".")[0] for name in head} == {"classifier"}
    assert loaded.config.id2label == dict(enumerate(NAMES))


def test_another_image_size_must_fit_the_weights(tmp_path: Path) -> None:
    task = TASK.model_copy(update={"image_size": 32})
    vit = make_image_model(tmp_path / "vit", "vit")
    with pytest.raises(RecipeError, match="are for images of 16 x 16 pixels"):
        IMAGE_CLASSIFICATION.build_model(Model(path=str(vit)), task, NAMES)
    scratch = Model(path=str(vit), from_scratch=True)
    assert IMAGE_CLASSIFICATION.build_model(scratch, task, NAMES)[0].config.image_size == 32
    resnet = make_image_model(tmp_path / "resnet", "resnet")
    assert IMAGE_CLASSIFICATION.build_model(Model(path=str(resnet)), task, NAMES)[2]


def _recipe(folder: Path, kind: str, **sections: Any) -> Recipe:
    make_image_model(folder / "model", kind)
    values = {
        "name": kind,
        "storage": str(folder / "runs"),
        "model": {"path": str(folder / "model")},
        "task": {"kind": "image_classification"},
        "data": {
            "train": str(make_images(folder / "train", rows=31)),
            "validation": str(make_images(folder / "validation", rows=9, seed=1)),
            "test": str(make_images(folder / "test", rows=11, seed=2)),
        },
        # Before a batch norm the length of a weight moves nothing: along it the gradient is but
        # rounding, which Adam would take for a direction of its own on each number of ranks.
        "optimizer": {"name": "sgd", "learning_rate": 1e-2},
        "batch": {"lanes": 4, "microbatch_size": 3},
        "epochs": 2,
        "evaluation": {"best_metric": "accuracy"},
        "tracking": {"log_every_steps": 1, "tensorboard": False},
    }
    return Recipe.model_validate(values | sections)


@pytest.mark.parametrize(
    ("kind", "images"),
    with_proofs(
        ("vit", {"mixup": 0.4, "cutmix": 1.0}),
        ("resnet", {}),
        ("convnext", {"flip": 0.5, "rotate": 20, "crop": 0.2, "color": 0.2}),
    ),
)
def test_runs_agree_however_they_are_divided(
    tmp_path: Path, kind: str, images: dict[str, float]
) -> None:
    recipe = _recipe(tmp_path, kind, augmentation={"images": images})
    shown = [_image(seed, 20) for seed in range(3)]
    cells = pa.table({"image": [data_address(image) for image in shown]})
    proved = prove_task(recipe, cells, brief=kind != "resnet")
    assert tuple(proved.predictions) == IMAGE_CLASSIFICATION.predicted
    _transformers_alone_agrees(export_of(proved.recipe), shown, proved.predictions)


def _transformers_alone_agrees(
    folder: Path, images: list[Image.Image], predictions: dict[str, list[Any]]
) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(folder)
    model.eval()
    with torch.no_grad():
        found = model(**processor(images, return_tensors="pt")).logits.softmax(-1)
    expected = torch.tensor(predictions["probabilities"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.proof
def test_phases_go_on_with_the_statistics_of_batches(tmp_path: Path) -> None:
    """Frozen batch norms rest, those that learn later begin to move; resumed at any step."""
    schedule = [
        {"learn": "head", "epochs": 1},
        {"learn": {"last": 1}, "epochs": 1},
        {"learn": "all"},
    ]
    recipe = _recipe(tmp_path, "resnet", freezing={"schedule": schedule}, epochs=3)
    cells = pa.table({"image": [data_address(_image(0))]})
    prove_task(recipe, cells, stop=5)


def test_half_precision_is_fed_pixels_of_its_own(tmp_path: Path) -> None:
    """Statistics are kept in fp32: adding a tenth to a bfloat16 would soon do nothing."""
    recipe = _recipe(tmp_path, "resnet", precision="bf16", max_steps=4)
    data_dir = prepare(recipe, recipe.storage).data_dir
    (told,) = on_ranks(1, run_all, [recipe], data_dir, 1, 0)[0]
    assert told.ended.state == "succeeded"
    exported = read_export(recipe)
    means = [tensor for name, tensor in exported.items() if name.endswith("running_mean")]
    assert means
    assert all(mean.dtype == torch.float32 for mean in means)
    assert any((mean != mean.bfloat16()).any() for mean in means)
