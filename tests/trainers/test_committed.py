"""Work on the best committed weights."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from configs.errors import NotFoundError
from configs.records import Ended, Evaluated, Exported, Record
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny import make_csv
from tests.trainers.runs import Told, assert_same_bits, read_export, run_all
from trainers.committed import evaluate, export, lend
from trainers.data.plan import recipe_for
from trainers.data.preparation import prepare
from trainers.data.store import load_manifest
from trainers.place import Place


def _afterwards(
    rank: int, world_size: int, recipe: Recipe, data_dir: str, folder: str
) -> tuple[list[Ended], list[Record]]:
    place = Place(rank, world_size, rank, f"{recipe.storage}/{recipe.name}", data_dir, 2, "cpu")
    records: list[Record] = []
    with pytest.raises(NotFoundError, match=r"no dev split, only train, validation, test"):
        evaluate(recipe, place, records.append, "dev")  # type: ignore[arg-type]  # as by hand
    ends = [
        evaluate(recipe, place, records.append, "test"),
        export(recipe, place, records.append, folder),
        lend(recipe, place, records.append, f"{place.run_dir}/.predict-1"),
    ]
    return ends, records


@pytest.mark.proof
def test_the_best_weights_are_evaluated_and_exported_again(tmp_path: Path) -> None:
    # A learning rate that ruins the model for good: the best evaluation is not the last.
    recipe = tiny_recipe(
        tmp_path,
        zero={"stage": 3},
        optimizer={"learning_rate": 0.5},
        schedule={"name": "constant"},
        evaluation={"best_metric": "loss", "every_steps": 2},
        epochs=2,
    )
    data_dir = prepare(recipe, recipe.storage).data_dir
    told: Told = on_ranks(2, run_all, [recipe], data_dir, 1, 0)[0][0]
    validations = [r for r in told.records if isinstance(r, Evaluated) and r.split == "validation"]
    best = min(validations, key=lambda r: r.metrics["loss"])
    assert best.step < 12
    assert [r.step for r in validations if r.best][-1] == best.step
    (tested,) = [r for r in told.records if isinstance(r, Evaluated) and r.split == "test"]
    # The run took all its steps; what was tested are the weights of the best of them.
    assert (told.ended.step, tested.step) == (validations[-1].step, best.step)
    assert tested.epoch == best.epoch
    folder = tmp_path / "elsewhere"
    ends, records = on_ranks(1, _afterwards, recipe, data_dir, str(folder))[0]
    assert ends[0].metrics == pytest.approx(told.ended.metrics, rel=1e-5)
    assert [end.step for end in ends] == [best.step] * 3
    # What a job lends itself to predict with is the same, and nobody is told of it.
    lent = Path(recipe.storage) / recipe.name / ".predict-1"
    assert_same_bits(load_file(lent / "model.safetensors"), read_export(recipe))
    assert ends[2].message == f"commit step-{best.step:08d}.a01, the best by loss"
    (exported,) = [r for r in records if isinstance(r, Exported)]
    assert exported.max_difference < 1e-5
    assert_same_bits(load_file(folder / "model.safetensors"), read_export(recipe))


@pytest.mark.proof
@pytest.mark.parametrize("asked", [None, "last"])
def test_the_best_weights_are_exported_unless_the_last_are_asked_for(
    asked: str | None, tmp_path: Path
) -> None:
    # A learning rate that ruins the model for good: the best evaluation is not the last.
    recipe = tiny_recipe(
        tmp_path,
        optimizer={"learning_rate": 0.5},
        schedule={"name": "constant"},
        evaluation={"best_metric": asked, "every_steps": 2, "at_start": True},
        epochs=2,
    )
    data_dir = prepare(recipe, recipe.storage).data_dir
    told: Told = on_ranks(1, run_all, [recipe], data_dir, 1, 0)[0][0]
    found = [r for r in told.records if isinstance(r, Evaluated) and r.split == "validation"]
    trained = [r for r in found if r.step]  # there is no commit of the model as it came
    best = max(trained, key=lambda r: (r.metrics["macro_f1"], -r.step))
    last = trained[-1].step
    assert best.step < last
    (exported,) = [r for r in told.records if isinstance(r, Exported)]
    steps_per_epoch = last // 2
    if asked is None:
        assert (exported.step, exported.best_metric) == (best.step, "macro_f1")
    else:
        assert (exported.step, exported.best_metric) == (last, None)
        assert not any(r.best for r in found)
    assert told.ended.step == last
    assert (exported.epoch, exported.epochs) == (exported.step / steps_per_epoch, 2.0)


def _on_other_rows(
    rank: int, world_size: int, recipe: Recipe, data_dirs: list[str], rows: str, shown: str
) -> list[tuple[Ended, list[Record]]]:
    told = []
    for data_dir, more in zip(data_dirs, ({}, {"rows": rows, "shown": shown}), strict=True):
        run_dir = f"{recipe.storage}/{recipe.name}"
        place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
        records: list[Record] = []
        told.append((evaluate(recipe, place, records.append, "test", **more), records))
    return told


@pytest.mark.proof
def test_rows_of_a_file_get_the_numbers_that_they_get_as_the_test_split(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, max_steps=4)
    data_dir = prepare(recipe, recipe.storage).data_dir
    on_ranks(2, run_all, [recipe], data_dir, 1, 0)
    file = str(make_csv(tmp_path / "new.csv", rows=23, seed=5))
    other = recipe.data.model_copy(update={"test": file})
    before = prepare(recipe.model_copy(update={"data": other}), recipe.storage).data_dir
    names = load_manifest(data_dir).label_names
    alone = prepare(recipe_for(recipe, file), recipe.storage, labels=names).data_dir
    dirs = [before, data_dir]
    (first, records), (second, more) = on_ranks(2, _on_other_rows, recipe, dirs, alone, file)[0]
    assert (second.metrics, second.rows) == (first.metrics, 23)
    (was,) = [r for r in records if isinstance(r, Evaluated)]
    (found,) = [r for r in more if isinstance(r, Evaluated)]
    assert (found.metrics, found.per_class) == (was.metrics, was.per_class)
    assert (was.split, found.split) == ("test", file)
    assert second.message == f"{file} evaluated"
