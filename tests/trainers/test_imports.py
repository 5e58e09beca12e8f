"""What is imported early is what a run needs."""

import subprocess
import sys
from pathlib import Path

from configs.schema import Recipe
from tests.recipes import tiny_recipe

LOOK = """
import sys
from configs.schema import Recipe
from trainers.imports import import_for
import_for(Recipe.model_validate_json(sys.argv[1]))
wanted = ("trainers.finetune", "deepspeed", "transformers.models.bert.modeling_bert")
print([name for name in wanted if name not in sys.modules])
print([name for name in ("matplotlib", "sklearn", "torchmetrics", "jinja2") if name in sys.modules])
"""


def _look(recipe: Recipe) -> list[str]:
    words = [sys.executable, "-c", LOOK, recipe.model_dump_json()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()[-2:]


def test_the_loop_and_the_model_are_imported_and_nothing_of_the_end(tmp_path: Path) -> None:
    missing, early = _look(tiny_recipe(tmp_path))
    assert missing == "[]"
    assert "torchmetrics" not in early
    assert "matplotlib" not in early


def test_a_model_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    absent = recipe.model.model_copy(update={"path": str(tmp_path / "absent")})
    missing, _ = _look(recipe.model_copy(update={"model": absent}))
    assert missing == "['transformers.models.bert.modeling_bert']"
