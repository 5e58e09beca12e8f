"""Every shipped recipe, and each way to write a task's rows, prepared by a job of the cluster."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from configs.load import load_recipe
from configs.schema import Recipe
from configs.task_columns import Column
from tests.person import Person
from tests.tiny import make_model_folder
from tests.tiny_causal import make_causal_folder
from tests.tiny_images import data_address, make_image_model
from tests.tiny_sequences import make_writer_folder
from trainers.tasks import functions_of

pytestmark = [pytest.mark.slow, pytest.mark.proof]

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "recipes").glob("*.yaml"))
ROWS = 80
TOGETHER = 3
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% generation %}{{ m.content }}"
    "{% endgeneration %}<|im_end|>{% endfor %}"
)
MODELS: dict[str, Callable[[Path], Path]] = {
    "image_classification": make_image_model,
    "sequence_to_sequence": make_writer_folder,
    "language_modeling": make_causal_folder,
    "instruction_tuning": lambda path: make_causal_folder(path, template=CHATML),
}
CONVERSATIONS = {
    "name": "conversations",
    "task": {"kind": "instruction_tuning", "messages": "chat"},
}


def _cell(column: Column, row: int) -> Any:
    """Make a cell of a column's kind."""
    word = ("up", "down", "left")[row % 3]
    return {
        "text": f"a {word} text, number {row}",
        "label": word,
        "labels": [word],
        "tags": ["O", f"B-{word}"],
        "words": ["word", f"{word}{row}"],
        "number": row % 5 / 4,
        "json": [{"role": "user", "content": f"q{row}"}, {"role": "assistant", "content": word}],
        "image": data_address(Image.new("RGB", (16, 16), (row, 3 * row, 255 - row))),
    }[column.kind]


def _with_rows_of_its_own(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Give a recipe with rows that have its columns, and a tiny model of its kind."""
    columns = functions_of(recipe.task).columns(recipe.task).all
    path = folder / f"{recipe.name}.jsonl"
    rows = [{column.name: _cell(column, row) for column in columns} for row in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kind = recipe.task.kind
    model = folder / f"model-{kind}"
    if not model.exists():
        MODELS.get(kind, make_model_folder)(model)
    whole = recipe.model_dump(mode="json")
    splits = {
        name: whole["data"][name] if isinstance(whole["data"][name], float | None) else "10%"
        for name in ("validation", "test")
    }
    whole["data"] |= {"train": str(path)} | splits
    whole["model"] |= {"path": str(model), "revision": None}
    whole["storage"] = str(folder / "runs")
    return whole


def test_shipped_recipes_go_through_prepare_as_jobs(person: Person) -> None:
    recipes = [load_recipe(path) for path in SHIPPED]
    of_prompts = next(each for each in recipes if each.name == "instruction")
    recipes.append(Recipe.model_validate(of_prompts.model_dump() | CONVERSATIONS))
    paths = []
    for recipe in recipes:
        path = person.folder / f"shipped-{recipe.name}.yaml"
        path.write_text(yaml.safe_dump(_with_rows_of_its_own(recipe, person.folder)))
        paths.append(path)
    with ThreadPoolExecutor(TOGETHER) as pool:
        said = list(pool.map(lambda path: person.thaw("prepare", path, "-o", "json"), paths))
    for recipe, lines in zip(recipes, said, strict=True):
        told = [json.loads(line) for line in lines.splitlines()]
        (data,) = [line for line in told if line.get("kind") == "data"]
        assert data["rows_in"] == ROWS and data["splits"]["train"] > 0, recipe.name
