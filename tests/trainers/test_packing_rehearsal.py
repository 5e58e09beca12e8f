"""Rows that are packed behind one another see nothing of each other, or packing is refused."""

from pathlib import Path
from typing import Any

import pytest

from configs.records import Step
from configs.schema import Recipe
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.tiny_causal import make_prompts
from tests.tiny_families import make_writer
from tests.trainers.runs import refusals, run_all
from trainers.data.preparation import prepare
from trainers.packing_rehearsal import most_tokens


def _recipe(folder: Path, family: str, name: str, **batch: Any) -> Recipe:
    data = {"train": str(make_prompts(folder / "p.jsonl", 24)), "validation": None, "test": None}
    return tiny_recipe(
        folder,
        name=name,
        model={"path": str(make_writer(folder / family, family)), "dropout": None},
        task={"kind": "instruction_tuning", "generation": {"max_new_tokens": 8}},
        data=data,
        batch={"lanes": 2, "microbatch_size": 4, "max_length": 48} | batch,
        max_steps=1,
    )


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_packed_rows_have_the_loss_of_rows_apart(family: str, tmp_path: Path) -> None:
    recipes = [
        _recipe(tmp_path, family, "apart", packing=False),
        _recipe(tmp_path, family, "packed", packing=True),
    ]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    (told,) = on_ranks(1, run_all, recipes, data_dir, 1, 0)
    apart, packed = ([r.loss for r in each.records if isinstance(r, Step)] for each in told)
    assert packed == pytest.approx(apart, rel=1e-5)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("bloom", "see each other: the loss"),
        ("falcon", "see each other: the loss"),
        ("opt", "see each other: the loss"),
        ("mamba", "see each other: the loss"),
        ("gpt_neo", "cannot read rows that are packed"),
    ],
)
def test_models_whose_packed_rows_see_each_other_are_refused(
    family: str, words: str, tmp_path: Path
) -> None:
    recipe = _recipe(tmp_path, family, "packed", packing=True)
    data_dir = prepare(recipe, recipe.storage).data_dir
    ((said,),) = on_ranks(1, refusals, [recipe], data_dir)
    assert words in said and "Use batch.packing false" in said


def test_a_microbatch_longer_than_the_positions_is_refused_though_a_few_rows_fit(
    tmp_path: Path,
) -> None:
    # Rows have at most 48 tokens, so that 3 fit into 160 positions, and 12 of them do not.
    recipe = _recipe(tmp_path, "gpt_neo_long", "packed", packing=True, microbatch_size=12)
    data_dir = prepare(recipe, recipe.storage).data_dir
    ((said,),) = on_ranks(1, refusals, [recipe], data_dir)
    assert "cannot read rows that are packed" in said and "(160)" in said


def test_the_most_tokens_of_a_microbatch_are_those_of_the_longest_rows() -> None:
    lengths = {5: 3, 9: 1, 2: 10}
    assert most_tokens(lengths, 3) == 9 + 5 + 5
    assert most_tokens(lengths, 100) == 3 * 5 + 9 + 10 * 2
