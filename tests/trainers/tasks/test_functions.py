"""Each task has its functions, and naming its columns loads neither torch nor transformers."""

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from configs.task_sections import Task
from trainers.tasks import functions_of
from trainers.tasks.functions import encode_with_labels

KINDS = {
    "text_classification": ["label"],
    "multi_label_classification": ["labels"],
    "text_regression": ["value"],
    "token_classification": ["tags"],
    "image_classification": ["label"],
    "sequence_to_sequence": ["target"],
    "language_modeling": [],
    "instruction_tuning": ["completion"],
    "sentence_embedding": [],
}
"""Name of the target's column by kind."""


def test_the_kinds_are_those_of_a_recipe() -> None:
    schema = TypeAdapter(Task).json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_functions(kind: str) -> None:
    task = TypeAdapter(Task).validate_python({"kind": kind})
    columns = functions_of(task).columns(task)
    assert [c.name for c in (columns.target,) if c is not None] == KINDS[kind]
    assert columns.to_predict


def test_columns_are_named_without_torch() -> None:
    script = """
import sys
from configs.task_sections import SentenceEmbedding
from trainers.tasks import functions_of
task = SentenceEmbedding(kind="sentence_embedding")
print(functions_of(task).columns(task).to_predict[0].name)
print(*sorted({"torch", "transformers", "PIL", "torchmetrics"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert said.stdout.split("\n")[:2] == ["anchor", ""], said.stderr


def test_labels_stand_before_the_length() -> None:
    def encode_inputs(task: Any, processor: Any, max_length: int, cells: pa.Table) -> pa.Table:
        return pa.table({"input_ids": cells["a"], "length": cells["a"]})

    def labels(task: Any, label_names: tuple[str, ...], cells: pa.Table) -> pa.ChunkedArray:
        return pa.chunked_array([[label_names.index(name) for name in cells["b"].to_pylist()]])

    encode = encode_with_labels(encode_inputs, labels)
    found = encode(None, None, 8, ("x", "y"), pa.table({"a": [5, 6], "b": ["y", "x"]}))
    assert found.column_names == ["input_ids", "label", "length"]
    assert found["label"].to_pylist() == [1, 0]
