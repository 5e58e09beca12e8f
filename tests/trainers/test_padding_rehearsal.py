"""Models that see padding, or whose blocks hand on something of their own, before training."""

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import torch

from configs.records import Note, Recorded
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny_families import make_encoder
from tests.tiny_sequences import make_pairs, make_writer_folder
from tests.trainers.runs import Told, export_of, refusals, run_all
from trainers.data.preparation import prepare
from trainers.predictor import Predictor

HERE = "tests.own_example"
FAMILIES = ("deberta", "mpnet", "electra", "longformer", "funnel", "xlnet", "fnet")
FED_BY_LENGTH = {"xlnet", "fnet"}
RECORDED = {"deberta", "mpnet", "electra"}
CELLS = pa.table({"text": ["topic1a", "a an and topic2a the a an", "topic0b of the topic0c"]})


class Runs(NamedTuple):
    """Runs of a family: with a recorded prefix where it can be, without, all of it learning."""

    recipes: dict[str, Recipe]
    told: dict[str, Told]


@pytest.fixture(scope="module", params=FAMILIES)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp(request.param)
    make_encoder(folder / "model", request.param)
    ways: dict[str, Any] = {
        "recorded": {"mode": "head", "prefix_cache": "auto"},
        "computed": {"mode": "head", "prefix_cache": "off"},
        "whole": {"mode": "full", "prefix_cache": "off"},
    }
    recipes = {
        way: tiny_recipe(
            folder, name=f"{request.param}-{way}", freezing=freezing, data={"test": None}
        )
        for way, freezing in ways.items()
    }
    data_dir = prepare(recipes["whole"], recipes["whole"].storage).data_dir
    (told,) = on_ranks(1, run_all, [*recipes.values()], data_dir, 1, 0, seconds=200)
    return Runs(recipes, dict(zip(ways, told, strict=True)))


def _family(runs: Runs) -> str:
    return runs.recipes["whole"].name.partition("-")[0]


def _notes(told: Told) -> str:
    return " ".join(record.text for record in told.records if isinstance(record, Note))


def test_a_recorded_prefix_gives_the_losses_of_a_computed_one(runs: Runs) -> None:
    assert runs.told["recorded"].losses() == pytest.approx(runs.told["computed"].losses(), rel=1e-5)
    was_recorded = any(isinstance(record, Recorded) for record in runs.told["recorded"].records)
    family, notes = _family(runs), _notes(runs.told["recorded"])
    assert was_recorded == (family in RECORDED)
    assert ("computed in every epoch" in notes) == (not was_recorded), notes


def test_only_models_that_see_padding_are_fed_by_length(runs: Runs) -> None:
    for told in runs.told.values():
        assert ("otherwise when it is padded" in _notes(told)) == (_family(runs) in FED_BY_LENGTH)


def test_an_answer_does_not_depend_on_the_rows_beside_it(runs: Runs) -> None:
    predictor = Predictor(str(export_of(runs.recipes["whole"])))
    together = torch.tensor(predictor(CELLS)["probabilities"])
    alone = [predictor(CELLS.slice(row, 1))["probabilities"][0] for row in range(len(CELLS))]
    assert torch.allclose(together, torch.tensor(alone), atol=1e-5)


def _refusal(recipe: Recipe, ranks: int = 1) -> str:
    data_dir = prepare(recipe, recipe.storage).data_dir
    ((said,), *_) = on_ranks(ranks, refusals, [recipe], data_dir)
    return said


def test_slices_and_a_prefix_that_must_be_recorded_are_refused(tmp_path: Path) -> None:
    make_encoder(tmp_path / "model", "fnet")
    said = _refusal(tiny_recipe(tmp_path, zero={"stage": 3}), ranks=2)
    assert "which zero.stage 3 cannot do on several workers. Use stage 2" in said
    said = _refusal(tiny_recipe(tmp_path, freezing={"mode": "head", "prefix_cache": "on"}))
    assert said.startswith("freezing.prefix_cache is on but the frozen prefix of this model cannot")


def test_an_answer_that_depends_on_more_than_the_row_is_refused(tmp_path: Path) -> None:
    said = _refusal(tiny_recipe(tmp_path, model={"implementation": f"{HERE}:Moody"}))
    assert "its answer depends on more than the row. Choose another model" in said


def test_a_task_that_cannot_feed_rows_by_length_is_refused(tmp_path: Path) -> None:
    make_writer_folder(tmp_path / "model", "t5")
    make_pairs(tmp_path / "pairs.csv", 24)
    recipe = tiny_recipe(
        tmp_path,
        model={"implementation": f"{HERE}:Blind"},
        task={"kind": "sequence_to_sequence", "source": "english", "target": "german"},
        data={"train": str(tmp_path / "pairs.csv"), "validation": None, "test": None},
    )
    assert "this task cannot feed rows of one length alone" in _refusal(recipe)
