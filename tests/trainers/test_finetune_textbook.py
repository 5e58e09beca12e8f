"""The textbook example of Hugging Face's Trainer, on the batches of a recipe that asks the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Sampler

from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_csv, make_model_folder
from tests.trainers.runs import run_all
from trainers.data.batches import batching, read_steps
from trainers.data.epoch_plan import plan_epochs
from trainers.data.preparation import prepare
from trainers.data.store import ROW_ID, load_manifest, open_split
from trainers.tasks.text_classification import TEXT_CLASSIFICATION

ROWS, BATCH, EPOCHS = 192, 16, 3


def _recipe(folder: Path) -> Recipe:
    make_model_folder(folder / "model", num_labels=3)
    tiny_recipe(folder)
    make_csv(folder / "train.csv", rows=ROWS)
    return tiny_recipe(
        folder,
        model={"dropout": 0.0},
        # A rate at which the loss falls by a third while the rate still warms up.
        optimizer={"learning_rate": 5e-2, "weight_decay": 0.01},
        schedule={"name": "linear", "warmup_steps": 500},
        batch={"lanes": 4, "microbatch_size": 4},
        epochs=EPOCHS,
    )


def _rows_and_order(recipe: Recipe, data_dir: str) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Give the training rows, and for each epoch the order in which a run sees them."""
    manifest = load_manifest(data_dir)
    split, epochs = open_split(data_dir, manifest, "train"), plan_epochs(recipe, manifest)
    table = split.read(np.arange(ROWS))
    rows = [
        {"input_ids": row["input_ids"], "label": row["label"]}
        for row in table.select(["input_ids", "label"]).to_pylist()
    ]
    place = {row_id: number for number, row_id in enumerate(table[ROW_ID].to_pylist())}
    orders = []
    for epoch in range(EPOCHS):
        lanes = epochs.open(split, 0, 1, epoch, None)
        making = TEXT_CLASSIFICATION.collate(recipe.task, batching(recipe, manifest))
        with read_steps(lanes, epochs.lanes, making, epoch=epoch) as steps:
            ids = [m.row_ids.tolist() for microbatches in steps for m in microbatches]
        orders.append([place[row_id] for some in ids for row_id in some])
    return rows, orders


class _Orders(Sampler[int]):
    """Gives the rows of one epoch after another, each in its own order."""

    def __init__(self, orders: list[list[int]]) -> None:
        self._orders = iter(orders)

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        return iter(next(self._orders))


def _train_by_the_textbook(recipe: Recipe, folder: Path, data_dir: str) -> list[float]:
    """Let the Trainer train; returns the loss of each step."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    rows, orders = _rows_and_order(recipe, data_dir)
    losses: list[float] = []

    class Watched(Trainer):
        def _get_train_sampler(self, *_: Any) -> Sampler[int]:
            return _Orders(orders)

        def compute_loss(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            loss: torch.Tensor = super().compute_loss(*args, **kwargs)
            losses.append(float(loss.detach()))
            return loss

    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        warmup_steps=500,
        weight_decay=0.01,
        learning_rate=recipe.optimizer.learning_rate,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    padding = DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder / "model"))
    Watched(model=model, args=arguments, train_dataset=rows, data_collator=padding).train()
    return losses


def test_the_textbook_example_has_the_same_loss_at_each_step(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    data_dir = prepare(recipe, recipe.storage).data_dir
    theirs = _train_by_the_textbook(recipe, tmp_path, data_dir)
    for world_size in (1, 2):
        named = recipe.model_copy(update={"name": f"on{world_size}"})
        (told,) = on_ranks(world_size, run_all, [named], data_dir, 1, 0)[0]
        ours = list(told.losses().values())
        assert len(ours) == EPOCHS * ROWS // BATCH
        assert ours == pytest.approx(theirs, abs=1e-4)
    # They agree on something: it was learnt.
    assert theirs[-1] < 0.9 * theirs[0]
