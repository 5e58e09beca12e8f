"""A task for columns of any kind, without transformers, and its rows in files of every format."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.task_columns import Column, Columns
from tests.trainers.data.words import Tokenizer
from trainers.data.cells import class_names, plain_text
from trainers.tasks.functions import TaskFunctions
from trainers.tasks.refusals import RowError
from trainers.tasks.text_classification import TEXT_CLASSIFICATION

Rows = list[dict[str, Any]]
REFUSED = "refuse me"
LABEL_TYPES = {"label": pa.int32(), "number": pa.float64()}


@dataclass(frozen=True)
class _Kinds:
    """What a task with such columns does its own way; words become their numbers of characters."""

    read: Columns

    def columns(self, task: Any) -> Columns:
        return self.read

    def load_processor(self, model: Any) -> Tokenizer:
        return Tokenizer()

    def numbers(self, model: Any, processor: Tokenizer) -> dict[str, int]:
        return {"start": 7}

    def encode(
        self,
        task: Any,
        processor: Tokenizer,
        max_length: int,
        label_names: tuple[str, ...],
        cells: pa.Table,
    ) -> pa.Table:
        first, target = self.read.inputs[0], self.read.target
        texts = [plain_text(text, first.kind) for text in cells[first.name].to_pylist()]
        if REFUSED in texts:
            raise RowError(texts.index(REFUSED), "the row asks for it. Take it out")
        made: dict[str, Any] = {}
        ids = [[len(word) for word in text.split()][:max_length] or [0] for text in texts]
        if first.kind != "image":
            made["input_ids"] = pa.array(ids, pa.list_(pa.int32()))
        if target is not None and target.kind != "text":
            texts = cells[target.name].to_pylist()
            labels = [float(text) for text in texts] if target.kind == "number" else []
            for text in texts if target.has_classes else ():
                found = [label_names.index(name) for name in class_names(text, target.kind)]
                labels.append(found[0] if target.kind == "label" else found)
            made["label"] = pa.array(labels, LABEL_TYPES.get(target.kind, pa.list_(pa.int32())))
        made["length"] = pa.array([len(row) for row in ids], pa.int32())
        return pa.table(made)


def of_kinds(read: Columns) -> TaskFunctions:
    """Give the functions of a task with such columns."""
    own = _Kinds(read)
    return replace(
        TEXT_CLASSIFICATION,
        columns=own.columns,
        load_processor=own.load_processor,
        numbers=own.numbers,
        encode=own.encode,
    )


def columns(*inputs: Column | str, target: Column | None) -> Columns:
    given = [Column(each, "text") if isinstance(each, str) else each for each in inputs]
    return Columns(tuple(given), target)


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        for row in rows:
            cells = {
                name: json.dumps(value) if isinstance(value, list | dict) else value
                for name, value in row.items()
            }
            writer.writerow(cells)


def write_tsv(path: Path, rows: Rows) -> None:
    write_csv(path, rows, "\t")


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1))


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_arrow(path: Path, rows: Rows) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "json": write_json,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "arrow": write_arrow,
}
