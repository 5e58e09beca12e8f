"""Whole runs in phases: one answer on every ZeRO stage and number of ranks, also resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.errors import TrainingError
from configs.records import Evaluated, Note, Phase, Proof, Step
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import (
    Runs,
    all_or,
    assert_same_bits,
    read_export,
    refusals,
    run_all,
    run_undisturbed,
    stop_and_resume,
)
from trainers import storage
from trainers.data.preparation import prepare
from trainers.manifest import list_commits, step_of
from trainers.phase_change import MotionProof, begin_next_phase
from trainers.place import Place
from trainers.saved_state import SavedState
from trainers.session import Session

# 61 rows in 4 lanes are 6 steps of 3 rows an epoch: one phase ends inside the first epoch, one in
# the second.
THREE = [{"learn": "head", "steps": 3}, {"learn": {"last": 1}, "steps": 5}, {"learn": "all"}]
# What learns in the first phase is frozen in the second, and learns again in the third.
BACK = [
    {"learn": {"last": 1}, "steps": 2},
    {"learn": {"train": ["embeddings"]}, "steps": 2},
    {"learn": "all"},
]
STALL = [
    {"learn": "head", "until_stall": {"patience": 1, "min_delta": 9.0, "max_epochs": 1}},
    {"learn": "all"},
]
KEEP = {"keep_last": 20}


def _recipe(folder: Path, name: str, stage: int, phases: list[Any], **sections: Any) -> Recipe:
    values = {"freezing": {"schedule": phases}, "zero": {"stage": stage}, "checkpoint": KEEP}
    return tiny_recipe(folder, name=name, **{**values, **sections})


def _state(recipe: Recipe, step: int) -> dict[str, torch.Tensor]:
    """Read whole weights from the commit of a step."""
    run_dir = storage.join(recipe.storage, recipe.name)
    (name,) = [name for name in list_commits(run_dir) if step_of(name) == step]
    saved = SavedState(run_dir, name)
    return {name: saved.read(name, "weight", 0, size) for name, size in saved.sizes.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run in three phases on two ranks, dropout on; one run freezes again what had learned."""
    folder = tmp_path_factory.mktemp("phases")
    recipes = [_recipe(folder, f"z{stage}", stage, THREE) for stage in all_or(1, 3)]
    recipes.append(_recipe(folder, "back", 2, BACK, epochs=1))
    recipes.append(_recipe(folder, "half", 1, BACK, epochs=1, precision="bf16"))
    return run_undisturbed(folder, recipes)


def test_each_phase_is_said_and_proved(runs: Runs) -> None:
    told = runs.told["z1"]
    phases = [r for r in told.records if isinstance(r, Phase)]
    assert [(p.name, p.phase, p.num_phases, p.first_step, p.last_step) for p in phases] == [
        ("head", 1, 3, 0, 3),
        ("last block", 2, 3, 3, 8),
        ("all", 3, 3, 8, 12),
    ]
    assert phases[0].trainable_parameters < phases[1].trainable_parameters
    assert phases[2].trainable_parameters == phases[2].total_parameters
    proofs = [r for r in told.records if isinstance(r, Proof)]
    # A linear schedule without warmup moves the weights in the first step of each phase.
    assert [p.step for p in proofs] == [1, 4, 9]
    assert all(p.frozen_unchanged for p in proofs)
    assert [p.moved_tensors == p.new_tensors for p in proofs] == [True] * 3
    assert [p.new_tensors for p in proofs] == [2, 18, 21]  # head; block and pooler; the rest
    assert [r.phase for r in told.records if isinstance(r, Step)] == [1] * 3 + [2] * 5 + [3] * 4
    assert not [r for r in told.records if isinstance(r, Note)]


def test_every_stage_and_number_of_ranks_gives_the_same_losses(runs: Runs) -> None:
    alone = [_recipe(runs.folder, f"alone-z{n}", n, THREE) for n in all_or(0, 2)]
    told = on_ranks(1, run_all, alone, runs.data_dir, 1, 0, seconds=250)[0]
    told += [told for name, told in runs.told.items() if name.startswith("z")]
    assert sorted(told[0].losses()) == list(range(1, 13))
    for other in told[1:]:
        assert other.losses() == pytest.approx(told[0].losses(), rel=1e-5)


def test_frozen_tensors_keep_their_bits_until_their_phase(runs: Runs) -> None:
    base = load_file(runs.folder / "model" / "model.safetensors")
    for recipe in (recipe for name, recipe in runs.recipes.items() if name.startswith("z")):
        head, block, everything = (_state(recipe, step) for step in (3, 8, 12))
        for name, weight in base.items():
            ours = f"bert.{name}"
            learns_in_two = name.startswith(("encoder.layer.1.", "pooler."))
            assert head[ours].equal(weight.flatten()), ours
            assert block[ours].equal(weight.flatten()) != learns_in_two, ours
            assert not everything[ours].equal(weight.flatten()), ours
        assert not head["classifier.weight"].equal(block["classifier.weight"])


def test_what_is_frozen_again_keeps_what_it_learned(runs: Runs) -> None:
    base = load_file(runs.folder / "model" / "model.safetensors")
    first, second, third = (_state(runs.recipes["back"], step) for step in (2, 4, 6))
    name = "encoder.layer.1.output.dense.weight"
    assert not first[f"bert.{name}"].equal(base[name].flatten())
    assert second[f"bert.{name}"].equal(first[f"bert.{name}"])
    assert not third[f"bert.{name}"].equal(second[f"bert.{name}"])


@pytest.mark.proof
def test_stopped_and_resumed_gives_the_same_bits(runs: Runs) -> None:
    # At the end of phase 2, inside it, and while something is frozen that had learned. In the order
    # of the undisturbed runs: ZeRO-3 replaces torch's linear in its process, which rounds anew.
    stages = all_or(3)
    recipes = [
        _recipe(runs.folder, "at-the-end", 1, THREE),
        *(_recipe(runs.folder, f"inside-z{n}", n, THREE) for n in stages),
        _recipe(runs.folder, "back-again", 2, BACK, epochs=1),
        _recipe(runs.folder, "half-again", 1, BACK, epochs=1, precision="bf16"),
    ]
    stops = [8, *[5] * len(stages), 3, 3]
    names = ["z1", *(f"z{n}" for n in stages), "back", "half"]
    answers = on_ranks(2, stop_and_resume, recipes, runs.data_dir, stops, seconds=250)[0]
    for recipe, stop, name, (first, second) in zip(recipes, stops, names, answers, strict=True):
        assert (first.ended.state, first.ended.step) == ("stopped", stop)
        assert (second.ended.state, min(second.losses())) == ("succeeded", stop + 1)
        theirs = runs.told[name].losses()
        assert second.losses() == {step: theirs[step] for step in theirs if step > stop}
        assert_same_bits(read_export(recipe), read_export(runs.recipes[name]))


def test_a_stall_ends_a_phase_and_the_best_weights_may_be_of_an_earlier_one(runs: Runs) -> None:
    # No loss falls by 9: the second evaluation, after step 2, ends the first phase. At a rate of
    # 0.5 the second spoils the model, so the best weights are of the first.
    recipe = _recipe(
        runs.folder,
        "stall",
        1,
        STALL,
        evaluation={"every_steps": 1, "best_metric": "loss"},
        optimizer={"learning_rate": 0.5},
        freezing={"schedule": STALL, "head_learning_rate": 1e-3},
        max_steps=4,
    )
    told = on_ranks(1, run_all, [recipe], runs.data_dir, 1, 0)[0][0]
    assert told.ended.state == "succeeded"
    phases = [r for r in told.records if isinstance(r, Phase)]
    assert [(p.name, p.first_step) for p in phases] == [("head", 0), ("all", 2)]
    (tested,) = (r for r in told.records if isinstance(r, Evaluated) and r.split == "test")
    assert tested.step <= 2 < told.ended.step == 4
    base = load_file(runs.folder / "model" / "model.safetensors")
    exported = read_export(recipe)
    assert all(exported[f"bert.{name}"].equal(weight) for name, weight in base.items())


def test_phases_that_do_not_fit_the_steps_are_refused(runs: Runs) -> None:
    phases = [{"learn": "head", "steps": 12}, {"learn": "all"}]
    recipe = _recipe(runs.folder, "too-long", 0, phases)
    (said,) = on_ranks(1, refusals, [recipe], runs.data_dir)[0]
    assert said.startswith("phase 2 of 2 (all) would begin after step 12 but the run has 12 steps")


def _meddle(rank: int, world_size: int, recipe: Recipe, data_dir: str) -> list[str]:
    """Change a frozen weight as broken memory would, or move nothing; returns what is said."""
    run_dir = storage.join(recipe.storage, recipe.name)
    place = Place(rank, world_size, rank, run_dir, data_dir, 1, "cpu")
    session = Session(recipe, place, lambda record: None)
    session.commits.newest = "step-00000000.a01"  # a phase begins with a commit
    proofs, said = [MotionProof(session), MotionProof(session)], []
    with pytest.raises(TrainingError) as refused:
        proofs[0].settle(session, 1.0, 3)
    said.append(str(refused.value))
    session.model.get_input_embeddings().weight.data[0, 0] += 1
    for act in (lambda: proofs[1].settle(session, 1.0, 3), lambda: begin_next_phase(session)):
        with pytest.raises(TrainingError) as refused:
            act()
        said.append(str(refused.value))
    return said


def test_what_changed_though_frozen_or_did_not_move_ends_the_run(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "meddled", 1, THREE)
    data_dir = prepare(recipe, recipe.storage).data_dir
    (said,) = on_ranks(1, _meddle, recipe, data_dir)
    assert [one.split(", which must never be")[0] for one in said] == [
        "nothing that began to learn has moved in the first step of phase 1",
        "a frozen weight moved in the first step of phase 1",
        "a frozen weight changed during phase 1",
    ]
