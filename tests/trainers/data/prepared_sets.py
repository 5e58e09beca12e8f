"""A prepared set with everything in its report, for tests that look at one."""

from pathlib import Path

from tests.trainers.data import words
from tests.trainers.data.words import make_recipe, numbered_rows, write_lines
from trainers.data.preparation import Prepared, prepare


def prepare_example(folder: Path) -> Prepared:
    """Prepare 300 rows: duplicates, a conflict, an empty text, rows that are in test, too."""
    rows = numbered_rows(300)
    conflict = {**rows[0], "label": "label-1"}
    train = write_lines(
        folder / "train.jsonl", [*rows, *rows[:7], conflict, {"text": " ", "label": "label-0"}]
    )
    test = write_lines(folder / "test.jsonl", [*rows[100:105], {"text": "a", "label": "label-2"}])
    recipe = make_recipe(train, data={"test": test, "validation": "20%", "shard_rows": 50})
    return prepare(recipe, str(folder / "store"), words.WORDS)
