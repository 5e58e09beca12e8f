"""Whole runs with adapters: one answer on every ZeRO stage and number of ranks, also resumed."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from configs.records import Exported, Note, Phase, Proof, Record
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.trainers.adapter_recipes import DORA, LORA, adapter_recipe
from tests.trainers.runs import (
    Runs,
    all_or,
    assert_same_bits,
    export_of,
    read_export,
    refusals,
    run_all,
    run_undisturbed,
    stop_and_resume,
)
from trainers import storage
from trainers.committed import evaluate, export
from trainers.manifest import list_commits, read_manifest
from trainers.place import Place


def _assert_same_files(ours: Path, theirs: Path) -> None:
    for file in ("model.safetensors", "adapter/adapter_model.safetensors"):
        assert_same_bits(load_file(ours / file), load_file(theirs / file))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run adapters of both kinds on two ranks."""
    folder = tmp_path_factory.mktemp("adapters")
    recipes = [adapter_recipe(folder, f"lora-z{n}", n, LORA) for n in all_or(1)]
    recipes += [adapter_recipe(folder, f"dora-z{n}", n, DORA) for n in all_or(3)]
    return run_undisturbed(folder, recipes)


def test_a_run_says_and_proves_what_learns(runs: Runs) -> None:
    for name, told in runs.told.items():
        (phase,) = [r for r in told.records if isinstance(r, Phase)]
        assert phase.name == ("LoRA" if "lora" in name else "DoRA") + " of rank 4"
        # A block of width 32 and 64 has 4 linear modules of 32 x 32 and 2 of 32 x 64, whose
        # adapters have 4 rows in and 4 out; a magnitude for each row of a weight; the head.
        matrices = 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))
        magnitudes = 2 * (5 * 32 + 64) if "dora" in name else 0
        assert phase.trainable_parameters == matrices + magnitudes + 3 * 32 + 3
        (proof,) = [r for r in told.records if isinstance(r, Proof)]
        assert proof.frozen_unchanged
        assert proof.moved_tensors == proof.new_tensors == (26 if "dora" in name else 14)
        (exported,) = [r for r in told.records if isinstance(r, Exported)]
        assert exported.frozen_unchanged
        # 12 merged weights: see merge_rounding.
        assert exported.max_difference < 1e-5
        assert not [r for r in told.records if isinstance(r, Note)], name


def test_every_stage_and_number_of_ranks_gives_the_same_losses(runs: Runs) -> None:
    alone = [adapter_recipe(runs.folder, f"alone-lora-z{n}", n, LORA) for n in all_or(2)]
    alone += [adapter_recipe(runs.folder, f"alone-dora-z{n}", n, DORA) for n in all_or(0)]
    answers = on_ranks(1, run_all, alone, runs.data_dir, 1, 0, seconds=250)[0]
    for kind in ("lora", "dora"):
        told = [told for name, told in runs.told.items() if kind in name]
        told += [t for r, t in zip(alone, answers, strict=True) if kind in r.name]
        assert sorted(told[0].losses()) == [1, 2, 3]
        for other in told[1:]:
            assert other.losses() == pytest.approx(told[0].losses(), rel=1e-5)
            assert other.ended.metrics == pytest.approx(told[0].ended.metrics, rel=1e-5)


def test_base_weights_keep_their_bits_and_commits_hold_what_learns(runs: Runs) -> None:
    base = load_file(runs.folder / "model" / "model.safetensors")
    for recipe in runs.recipes.values():
        exported = read_export(recipe)
        adapted = {n for n in base if "layer" in n and n.endswith("weight") and "Norm" not in n}
        assert len(adapted) == 12
        for name, weight in base.items():
            assert exported[f"bert.{name}"].equal(weight) != (name in adapted), name
        run_dir = storage.join(recipe.storage, recipe.name)
        commit = read_manifest(run_dir, list_commits(run_dir)[-1])
        stray = [n for n in commit.parameters if "lora_" not in n and "classifier" not in n]
        assert not stray
        assert commit.frozen is not None
        frozen = read_manifest(run_dir, commit.frozen).parameters
        assert {name.replace(".base_layer.", ".") for name in frozen} == {f"bert.{n}" for n in base}


@pytest.mark.proof
def test_stopped_and_resumed_gives_the_same_bits(runs: Runs) -> None:
    # In the order of the undisturbed runs: ZeRO-3 replaces torch's linear in its process.
    recipes = {
        name: recipe.model_copy(update={"name": f"{name}-again"})
        for name, recipe in runs.recipes.items()
    }
    again, stops = [*recipes.values()], [1] * len(recipes)
    answers = on_ranks(2, stop_and_resume, again, runs.data_dir, stops, seconds=250)[0]
    for (name, recipe), (first, second) in zip(recipes.items(), answers, strict=True):
        assert (first.ended.state, first.ended.step) == ("stopped", 1)
        theirs = runs.told[name].losses()
        assert second.losses() == {step: theirs[step] for step in (2, 3)}
        _assert_same_files(export_of(recipe), export_of(runs.recipes[name]))


def _use_commits(
    rank: int, world_size: int, recipes: list[Recipe], data_dir: str, folder: str
) -> list[dict[str, float]]:
    metrics = []
    for recipe in recipes:
        run_dir = storage.join(recipe.storage, recipe.name)
        place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
        records: list[Record] = []
        metrics.append(evaluate(recipe, place, records.append, "test").metrics)
        export(recipe, place, records.append, f"{folder}/{recipe.name}")
    return metrics


def test_what_comes_after_a_run_finds_its_adapters(runs: Runs, tmp_path: Path) -> None:
    # On another number of ranks than those that trained.
    recipes = [*runs.recipes.values()]
    found = on_ranks(1, _use_commits, recipes, runs.data_dir, str(tmp_path), seconds=200)[0]
    for recipe, metrics in zip(recipes, found, strict=True):
        assert metrics == pytest.approx(runs.told[recipe.name].ended.metrics, rel=1e-5)
        _assert_same_files(tmp_path / recipe.name, export_of(recipe))


def test_what_the_model_or_the_device_does_not_have_is_refused(runs: Runs) -> None:
    asked = {"precision": "bf16", "cluster": {"gpus_per_worker": 1}}
    recipes = [
        adapter_recipe(runs.folder, "no-target", 3, {"targets": ["qurey"]}),
        adapter_recipe(runs.folder, "no-gpu", 0, {"bits": 4}, **asked),
    ]
    targets, gpu = on_ranks(1, refusals, recipes, runs.data_dir)[0]
    assert targets == (
        "freezing.lora.targets: 'qurey' is no module of this model. "
        "Linear modules there are: query, key, value"
    )
    assert gpu.startswith("freezing.lora.bits 4 needs CUDA, but this worker has no such GPU")
