"""A small text task without transformers: a token is a word's number of characters."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from configs.schema import Recipe
from configs.task_columns import Column, Columns
from trainers.tasks.text_classification import TEXT_CLASSIFICATION


@dataclass(frozen=True)
class Tokenizer:
    pad_token_id: int = 0
    model_max_length: int = 16


def columns(task: Any) -> Columns:
    texts = [task.text] if task.text_b is None else [task.text, task.text_b]
    return Columns(tuple(Column(name, "text") for name in texts), Column(task.label, "label"))


def load_processor(model: Any) -> Tokenizer:
    return Tokenizer()


def encode(
    task: Any,
    processor: Tokenizer,
    max_length: int,
    label_names: tuple[str, ...],
    cells: pa.Table,
) -> pa.Table:
    texts = zip(*(cells[column.name].to_pylist() for column in columns(task).inputs), strict=True)
    ids = [[len(word) for word in " ".join(text).split()][:max_length] for text in texts]
    labels = [label_names.index(label) for label in cells[task.label].to_pylist()]
    return pa.table(
        {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "label": pa.array(labels, pa.int32()),
            "length": pa.array([len(row) for row in ids], pa.int32()),
        }
    )


WORDS = replace(TEXT_CLASSIFICATION, columns=columns, load_processor=load_processor, encode=encode)


def collate(rows: pa.Table) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    ids = rows["input_ids"].to_pylist()
    width = max(map(len, ids))
    padded = np.array([row + [0] * (width - len(row)) for row in ids], np.int64)
    labels = rows["label"].to_numpy().astype(np.int64)
    return {"input_ids": torch.from_numpy(padded)}, torch.from_numpy(labels)


def make_recipe(
    train: Path | str, *, task: dict[str, Any] | None = None, **sections: Any
) -> Recipe:
    data = {"train": str(train), **sections.pop("data", {})}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"path": "no/such-model"},
            "task": {"kind": "text_classification", **(task or {})},
            "data": {
                name: str(value) if isinstance(value, Path) else value
                for name, value in data.items()
            },
            "batch": {"lanes": 1, **sections.pop("batch", {})},
            **sections,
        }
    )


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def numbered_rows(count: int, labels: int = 3) -> list[dict[str, Any]]:
    """Rows with distinct texts of 1 to 8 words and labels in turn."""
    return [
        {"text": " ".join([f"text{n}", *["word"] * (n % 8)]), "label": f"label-{n % labels}"}
        for n in range(count)
    ]
