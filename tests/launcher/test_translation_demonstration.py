"""The demonstration with a translation: the shipped recipe over rows and a model that are there."""

from pathlib import Path

import configs
from configs.load import load_recipe
from configs.source_sections import SourceEntry
from launcher.dates import write_dates
from launcher.translation_demonstration import write


def test_the_recipe_is_the_shipped_one_over_its_own_rows(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / ".demo"
    english, french = write_dates(folder, rows=50)
    recipe = load_recipe(write(tmp_path / "runs"))
    shipped = load_recipe(Path(configs.__file__).parent / "recipes" / "dates.yaml")
    assert (recipe.name, recipe.storage) == ("demo-translate", str(tmp_path / "runs"))
    assert isinstance(recipe.data.train, SourceEntry)
    assert (recipe.data.train.path, recipe.data.train.pair) == (str(english), str(french))
    assert (Path(recipe.model.path) / "tokenizer.json").exists()
    assert recipe.cluster.num_workers == 2
    assert (recipe.task, recipe.optimizer, recipe.batch, recipe.epochs) == (
        shipped.task,
        shipped.optimizer,
        shipped.batch,
        shipped.epochs,
    )
