"""Ways to save memory give the numbers of a plain run."""

from typing import Any

import pytest

from configs.records import Exported, Note
from tests.on_ranks import on_ranks
from tests.recipes import tiny_recipe
from tests.trainers.runs import Told, all_or, run_all
from trainers.data.preparation import prepare

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "recomputed in slices": {"activation_checkpointing": True, "zero": {"stage": 3}},
    "optimizer on the host": {"zero": {"stage": 2, "offload_optimizer": "cpu"}},
    "all on the host": {
        "zero": {"stage": 3, "offload_optimizer": "cpu", "offload_parameters": "cpu"}
    },
}
if len(all_or(1)) > 1:
    VARIANTS["recomputed"] = {"activation_checkpointing": True, "zero": {"stage": 2}}
HALF: dict[str, dict[str, Any]] = {
    f"bf16 on stage {stage}": {"precision": "bf16", "zero": {"stage": stage}}
    for stage in all_or(0, 1)
}

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Stop each variant in the middle, resume it, and join what both attempts said."""
    folder = tmp_path_factory.mktemp("variants")
    variants = VARIANTS | HALF
    recipes = [
        tiny_recipe(folder, name=name.replace(" ", "-"), freezing={"last": 1}, **sections)
        for name, sections in variants.items()
    ]
    data_dir = prepare(recipes[0], recipes[0].storage).data_dir
    first = on_ranks(2, run_all, recipes, data_dir, 1, 5, seconds=200)[0]
    second = on_ranks(2, run_all, recipes, data_dir, 2, 0, seconds=200)[0]
    joined = [Told(b.ended, a.records + b.records) for a, b in zip(first, second, strict=True)]
    return dict(zip(variants, joined, strict=True))


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "plain"])
def test_less_memory_the_same_numbers(variant: str, told: dict[str, Told]) -> None:
    assert told[variant].losses() == pytest.approx(told["plain"].losses(), rel=1e-5)
    assert told[variant].ended.metrics == pytest.approx(told["plain"].ended.metrics, rel=1e-5)


@pytest.mark.parametrize("variant", list(HALF))
def test_half_precision_follows_the_same_course(variant: str, told: dict[str, Told]) -> None:
    # bfloat16 keeps 8 bits: a relative error of 2^-8 in each of some operations one after another.
    assert told[variant].losses() == pytest.approx(told["plain"].losses(), rel=0.03)
    (exported,) = [r for r in told[variant].records if isinstance(r, Exported)]
    assert exported.frozen_unchanged
    assert 0 < exported.max_difference < 0.05


def test_stage_0_in_half_precision_says_what_it_does(told: dict[str, Told]) -> None:
    notes = [r.text for r in told["bf16 on stage 0"].records if isinstance(r, Note)]
    assert notes == ["half precision runs ZeRO stage 0 as stage 1: same numbers, less memory"] * 2
    assert told["bf16 on stage 0"].losses() == told["bf16 on stage 1"].losses()
