"""Whole runs on gloo ranks: one answer for every ZeRO stage and number of ranks, also resumed."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from configs.records import Evaluated, Exported, Ledger, read_record
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.proofs import with_proofs
from tests.recipes import tiny_recipe
from tests.tiny import make_model_folder
from tests.trainers.runs import (
    STAGES,
    Runs,
    all_or,
    assert_same_bits,
    read_export,
    run_all,
    run_undisturbed,
)
from trainers.data.preparation import prepare

# 61 rows in 4 lanes are 16 rows in the longest; of 3 at a time 6 steps, in 2 epochs 12.
STEPS = 12


def _recipes(folder: Path, label: str, stages: tuple[int, ...] = STAGES) -> list[Recipe]:
    return [
        tiny_recipe(folder, name=f"{label}-z{n}", zero={"stage": n}, freezing={"last": 1})
        for n in stages
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run all stages on two ranks, dropout on, the last block and the head learning."""
    folder = tmp_path_factory.mktemp("finetune")
    return run_undisturbed(folder, _recipes(folder, "two"))


def test_a_run_says_all_that_a_person_wants_to_know(undisturbed: Runs) -> None:
    for name, told in undisturbed.told.items():
        assert told.ended.state == "succeeded"
        assert sorted(told.losses()) == list(range(1, STEPS + 1))
        ledgers = [r for r in told.records if isinstance(r, Ledger)]
        assert [(r.epoch, r.ok, r.rows, r.expected_rows) for r in ledgers] == [
            (1, True, 61, 61),
            (2, True, 61, 61),
        ]
        assert len(told.evaluations("validation")) == 2
        assert told.ended.metrics == told.evaluations("test")[0]
        (exported,) = [r for r in told.records if isinstance(r, Exported)]
        assert exported.frozen_unchanged
        assert exported.max_difference < 1e-5
        assert not [r for r in told.records if r.kind == "note"], name


def test_every_zero_stage_gives_the_same_answer(undisturbed: Runs) -> None:
    first, *others = undisturbed.told.values()
    for told in others:
        assert told.losses() == pytest.approx(first.losses(), rel=1e-5)
        assert told.ended.metrics == pytest.approx(first.ended.metrics, rel=1e-5)


@pytest.mark.parametrize(("world_size", "stages"), [(1, all_or(0, 2)), (4, all_or(3))])
def test_every_number_of_ranks_gives_the_same_answer(
    world_size: int, stages: tuple[int, ...], undisturbed: Runs
) -> None:
    recipes = _recipes(undisturbed.folder, f"on{world_size}", stages)
    told = on_ranks(world_size, run_all, recipes, undisturbed.data_dir, 1, 0, seconds=200)[0]
    for ours, stage in zip(told, stages, strict=True):
        theirs = undisturbed.told[f"two-z{stage}"]
        assert ours.losses() == pytest.approx(theirs.losses(), rel=1e-5)
        assert ours.ended.metrics == pytest.approx(theirs.ended.metrics, rel=1e-5)
        for mine, other in zip(
            ours.evaluations("validation"), theirs.evaluations("validation"), strict=True
        ):
            assert mine == pytest.approx(other, rel=1e-5)


def test_frozen_weights_keep_the_bits_of_the_base_model(undisturbed: Runs) -> None:
    base = load_file(undisturbed.folder / "model" / "model.safetensors")
    for recipe in undisturbed.recipes.values():
        weights = read_export(recipe)
        frozen = [n for n in base if not n.startswith(("encoder.layer.1.", "pooler."))]
        assert len(frozen) > 10
        for name in frozen:
            assert weights[f"bert.{name}"].equal(base[name]), name
        moved = [n for n in base if n not in frozen]
        assert not any(weights[f"bert.{name}"].equal(base[name]) for name in moved)


def test_stopped_and_resumed_on_as_many_ranks_gives_the_same_bits(undisturbed: Runs) -> None:
    stages = all_or(1, 3)
    recipes = _recipes(undisturbed.folder, "again", stages)
    stopped = on_ranks(2, run_all, recipes, undisturbed.data_dir, 1, 3, seconds=200)[0]
    assert [(t.ended.state, t.ended.step, t.ended.exit_code) for t in stopped] == [
        ("stopped", 3, 143)
    ] * len(stages)
    resumed = on_ranks(2, run_all, recipes, undisturbed.data_dir, 2, 0, seconds=200)[0]
    for recipe, ours, stage in zip(recipes, resumed, stages, strict=True):
        theirs = undisturbed.told[f"two-z{stage}"]
        assert sorted(ours.losses()) == list(range(4, STEPS + 1))
        assert ours.losses() == {s: x for s, x in theirs.losses().items() if s > 3}
        assert ours.ended.metrics == theirs.ended.metrics
        twin = undisturbed.recipes[f"two-z{stage}"]
        assert_same_bits(read_export(recipe), read_export(twin))


@pytest.mark.parametrize(("world_size", "stages"), with_proofs((1, all_or(2)), (4, all_or(1))))
def test_resumed_on_another_number_of_ranks_gives_the_same_losses(
    world_size: int, stages: tuple[int, ...], undisturbed: Runs
) -> None:
    recipes = _recipes(undisturbed.folder, f"from2to{world_size}", stages)
    on_ranks(2, run_all, recipes, undisturbed.data_dir, 1, 7, seconds=200)
    told = on_ranks(world_size, run_all, recipes, undisturbed.data_dir, 2, 0, seconds=200)[0]
    for ours, stage in zip(told, stages, strict=True):
        theirs = undisturbed.told[f"two-z{stage}"]
        assert sorted(ours.losses()) == list(range(8, STEPS + 1))
        expected = {step: loss for step, loss in theirs.losses().items() if step > 7}
        assert ours.losses() == pytest.approx(expected, rel=1e-5)
        assert ours.ended.metrics == pytest.approx(theirs.ended.metrics, rel=1e-5)


@pytest.mark.proof
def test_patience_goes_by_one_metric_and_the_best_weights_by_another(tmp_path: Path) -> None:
    # A rate too high for this model: what it learns in the first steps it does not keep.
    recipe = tiny_recipe(
        tmp_path,
        model={"path": str(make_model_folder(tmp_path / "model", spread=0.3)), "dropout": 0.0},
        optimizer={"learning_rate": 2e-3},
        schedule={"name": "constant"},
        evaluation={"best_metric": "loss", "every_steps": 2},
        early_stopping={"metric": "accuracy", "patience": 3},
        epochs=8,
    )
    data_dir = prepare(recipe, recipe.storage).data_dir
    told = on_ranks(1, run_all, [recipe], data_dir, 1, 0)[0][0]
    found = [r for r in told.records if isinstance(r, Evaluated) and r.split == "validation"]
    accuracies, losses = ([r.metrics[name] for r in found] for name in ("accuracy", "loss"))
    stale = [n - accuracies.index(max(accuracies[: n + 1])) for n in range(len(found))]
    assert stale.index(3) == len(found) - 1  # the first time that patience was used up
    best = losses.index(min(losses))
    assert len(found) - 1 - best < 3  # by the loss it would have gone on
    assert told.ended.step == found[-1].step > found[best].step
    (exported,) = [r for r in told.records if isinstance(r, Exported)]
    assert (exported.step, exported.best_metric) == (found[best].step, "loss")


def test_a_metric_that_is_never_defined_neither_stops_a_run_nor_chooses_its_weights(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(
        tmp_path,
        early_stopping={"metric": "roc_auc", "patience": 1},
        tracking={"tensorboard": True},
        data={"validation": str(tmp_path / "one.csv"), "test": None},
    )
    rows = (tmp_path / "validation.csv").read_text().splitlines()
    one = [rows[0], *(row for row in rows if row.endswith("label-1"))]
    (tmp_path / "one.csv").write_text("\n".join(one))
    data_dir = prepare(recipe, recipe.storage).data_dir
    told = on_ranks(1, run_all, [recipe], data_dir, 1, 0)[0][0]
    found = [r for r in told.records if isinstance(r, Evaluated)]
    assert [r.metrics["roc_auc"] for r in found] == [None, None]  # patience was not spent
    assert not any(r.best for r in found) and told.ended.metrics["roc_auc"] is None
    notes = [r.text for r in told.records if r.kind == "note"]
    assert any("roc_auc was undefined at every evaluation" in text for text in notes)
    assert sum("no patience is spent on it" in text for text in notes) == 1
    assert all(read_record(record.model_dump_json()) == record for record in told.records)
