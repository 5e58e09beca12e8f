"""The README's own loss, metric and model in whole runs: the same at any number of ranks."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from configs.errors import CheckpointError
from configs.records import Exported
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.readme_blocks import own_code
from tests.recipes import tiny_recipe
from tests.trainers.runs import Told, export_of, run_all
from trainers.data.preparation import prepare
from trainers.predictor import Predictor

CODE, SHOWN = own_code()
RECIPE = yaml.safe_load(SHOWN)


def _recipes(folder: Path) -> tuple[Recipe, Recipe]:
    """Give the README's recipe over tiny rows, and the same without its own code."""
    sections = {key: RECIPE[key] for key in ("model", "task", "loss", "early_stopping")}
    path = {"path": str(folder / "model")}
    own = tiny_recipe(folder, name="own", **(sections | {"model": sections["model"] | path}))
    return own, tiny_recipe(folder, name="plain")


def _run(
    rank: int, world_size: int, folder: str, recipes: list[Recipe], data_dir: str
) -> list[Told]:
    _with_code(folder)
    return run_all(rank, world_size, recipes, data_dir, 1, 0)


def _with_code(folder: str) -> None:
    import sys

    sys.path.insert(0, folder)


def _stopped_then_changed(
    rank: int, world_size: int, folder: str, recipe: Recipe, data_dir: str
) -> str:
    """Stop a run, change a number in its loss, and say why it does not go on."""
    _with_code(folder)
    run_all(rank, world_size, [recipe], data_dir, 1, 3)
    file = Path(folder) / "kinds.py"
    text = file.read_text()
    file.write_text(text.replace("max=4.0", "max=3.0"))
    assert file.read_text() != text
    with pytest.raises(CheckpointError) as refused:
        run_all(rank, world_size, [recipe], data_dir, 2, 0)
    file.write_text(text)
    (ended,) = run_all(rank, world_size, [recipe], data_dir, 3, 0)
    assert ended.ended.state == "succeeded"
    return str(refused.value)


@pytest.mark.proof
def test_the_readme_s_own_code_gives_the_same_on_one_and_two_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "kinds.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    own, plain = _recipes(tmp_path)
    data_dir = prepare(own, own.storage).data_dir
    assert prepare(plain, plain.storage).data_dir == data_dir  # a metric changes no row
    two = own.model_copy(
        update={"name": "own-two", "zero": own.zero.model_copy(update={"stage": 3})}
    )
    (one, without), (other,) = (
        on_ranks(ranks, _run, str(folder), recipes, data_dir)[0]
        for ranks, recipes in ((1, [own, plain]), (2, [two]))
    )
    _assert_agree(one, other)
    assert one.losses()[1] != pytest.approx(without.losses()[1], rel=1e-3)
    assert 0 <= one.ended.metrics["distance"] <= 2
    assert "distance" not in without.ended.metrics
    (exported,) = [r for r in one.records if isinstance(r, Exported)]
    assert exported.max_difference < 1e-5
    card = (export_of(own) / "README.md").read_text()
    assert "from kinds import Sharper" in card and "pipeline(" not in card
    predictor = Predictor(str(export_of(own)))
    assert type(predictor._model).__name__ == "Sharper"
    assert len(predictor(pa.table({"text": ["the", "to"]}))["predicted_label"]) == 2


def _assert_agree(one: Told, other: Told) -> None:
    assert other.losses() == pytest.approx(one.losses(), rel=1e-5)
    for name in ("loss", "distance"):  # the others are proved with the tasks
        assert other.ended.metrics[name] == pytest.approx(one.ended.metrics[name], rel=1e-5)
    evaluations: list[Any] = [told.evaluations("validation") for told in (one, other)]
    assert [each["distance"] for each in evaluations[0]] == pytest.approx(
        [each["distance"] for each in evaluations[1]]
    )


def test_a_run_does_not_go_on_with_other_code(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "kinds.py").write_text(CODE)
    recipe, _ = _recipes(tmp_path)
    data_dir = prepare(tiny_recipe(tmp_path), recipe.storage).data_dir
    (said,) = on_ranks(1, _stopped_then_changed, str(folder), recipe, data_dir)
    assert "was made with other values of loss.function, model.implementation" in said
